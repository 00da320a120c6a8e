"""Words that may stay in a description: those of anatomy, technique and series, and measures.

The Clean Descriptors Option (PS3.15 E.3.5) leaves open how texts become clean. What is left out
by a list of names misses the next name; so only words of a list stay, and nothing else does.
"""

from __future__ import annotations

import re
from typing import Final

_LISTED: Final = """
abdomen abdominal acquisition acute adc adrenal airway airways angio angiography ankle anterior aorta
aortic ap apex arm arterial artery atelectasis atrium attenuated attenuation average axial background
basal base bilateral biopsy bladder blood body bolus bone bones bowel brachial brain breast bronchi
bronchus calcification calcified calf candidate cardiac cardio carotid cartilage cavity cc cecum center
centre cerebellum cerebral cervical cervix chamber chest cine clavicle clip coil collapse colon color
colour consolidation contour contrast contrasts cor coronal coronary corrected cortex cranial ct cta
cyst cystic deep delayed dermoscopy diaphragm diastole diffusion disc dose dual duodenum dwi dx dynamic
early echo edema effusion emphysema enhanced enhancing epi esophagus external extremity eye fast fat
fatsat femoral femur fibrosis field film finding fine flair flow fluid foot forearm frame frontal fundus
fused gallbladder gland glass global gre ground guided gyrus haemorrhage hand hard head heart hemorrhage
hepatic hernia high hilum hip hippocampus hr hrct humerus iliac image images inferior infiltrate inner
internal intestine iv joint jugular kernel kidney kidneys knee laa large larynx late lateral left leg
lens lesion lesions ligament liver lobe loc localiser localizer localizers low lower lumbar lung lungs
lv lymph macula macular mammo mammography mandible map marrow mask mass mean medial mediastinum medium
meningioma meniscus metastasis mg middle mip ml mlo mm mole mpr mr mra mri multi muscle native neck
necrosis nerve no nodal node nodes nodule nodules non noncontrast normal nuclear nucleus oblique oct
opacity optic orbit organ outer outline ovary pa pancreas paranasal parenchyma pelvic pelvis perfusion
pericardium peritoneum pet phase plain plane plaque pleura pleural pneumonia pneumothorax portal
position post postcontrast posterior pre projection prone prostate proton proximal pulmonary quadrant
radius recon reconstruction rectum reference region registered renal report resampled rest result retina
rib ribs right roi routine rv sacrum sag sagittal scalp scan scout screening seg segment segmentation
sequence series shoulder sinus skeleton skin skull slice small soft spin spine spleen spot standard std
stent sternum stir stomach stress structure study subcutaneous superior supine suspicious suv swi
systole t1 t1w t2 t2w target temporal test thick thickness thigh thin thoracic thorax thymus thyroid
tibia time tissue tof tongue tonsil topogram total tra trachea transverse trunk tse tumor tumour
ultrasound upper ureter urethra us uterus vein venous ventricle ventricles vertebra vertebrae vessel
vessels view volume wall whole with without wo wound wrist xray zone
"""
_WORDS: Final = frozenset(_LISTED.split())
# A number with its unit may stay: 5mm, 1.25mm, 120kv, b1000
_MEASURED: Final = re.compile(r"\d{1,3}(\.\d{1,2})?(mm|cm|ml|s|ms|hu|kv|mas)|b\d{1,4}")
# One bare number may (lesion 1, 1.25); two of them might be parts of a date
_BARE: Final = re.compile(r"\d{1,2}|\d\.\d{1,2}")
_TOKEN: Final = re.compile(r"\d+\.\d+[a-z]*|[^\W_]+", re.IGNORECASE)


def cleaned(text: str) -> str:
    """Return the words and numbers of a text that may stay; as it is, if all may; "" where none may."""
    tokens = _TOKEN.findall(text)
    kept = _kept(tokens)
    return text if kept == tokens else " ".join(kept)


def is_clean(text: str) -> bool:
    """Tell whether every word and number of a text may stay."""
    return cleaned(text) == text


def _kept(tokens: list[str]) -> list[str]:
    bare = sum(_BARE.fullmatch(token) is not None for token in tokens)
    return [token for token in tokens if _is_harmless(token) or (bare == 1 and _BARE.fullmatch(token))]


def _is_harmless(token: str) -> bool:
    plain = token.casefold()
    return plain in _WORDS or _MEASURED.fullmatch(plain) is not None
