// A page that shows images and a segmentation over them as OHIF does: cornerstone draws, its adapters read the
// segmentation. It sends two pictures of one image to the server that gave it the page: alone, and with segments.
import * as core from '@cornerstonejs/core';
import * as tools from '@cornerstonejs/tools';
import { adaptersSEG } from '@cornerstonejs/adapters';
import dcmjs from 'dcmjs';

const { DicomMessage, DicomMetaDictionary, Colors } = dcmjs.data;
const { Labelmap } = tools.Enums.SegmentationRepresentations;
const modules = {};
const images = {};

async function read(url) {
  const buffer = await (await fetch(url)).arrayBuffer();
  const message = DicomMessage.readFile(buffer);
  return [DicomMetaDictionary.naturalizeDataset(message.dict), buffer];
}

async function addImage(url) {
  const [ds] = await read(url);
  const imageId = `ct:${url}`;
  const [rows, columns] = [ds.Rows, ds.Columns];
  const cosines = ds.ImageOrientationPatient.map(Number);
  const [betweenRows, betweenColumns] = ds.PixelSpacing.map(Number);
  const named = { sopInstanceUID: ds.SOPInstanceUID, sopClassUID: ds.SOPClassUID };
  const lut = { rescaleSlope: Number(ds.RescaleSlope), rescaleIntercept: Number(ds.RescaleIntercept) };
  modules[imageId] = {
    instance: ds,
    generalImageModule: named,
    sopCommonModule: named,
    generalSeriesModule: { modality: ds.Modality, seriesInstanceUID: ds.SeriesInstanceUID },
    imagePlaneModule: {
      frameOfReferenceUID: ds.FrameOfReferenceUID,
      rows,
      columns,
      imageOrientationPatient: cosines,
      rowCosines: cosines.slice(0, 3),
      columnCosines: cosines.slice(3),
      imagePositionPatient: ds.ImagePositionPatient.map(Number),
      // cornerstone goes down a column by the spacing that it calls the row's (DICOM's first)
      pixelSpacing: [betweenRows, betweenColumns],
      rowPixelSpacing: betweenRows,
      columnPixelSpacing: betweenColumns,
      sliceThickness: Number(ds.SliceThickness),
    },
    imagePixelModule: {
      rows,
      columns,
      samplesPerPixel: 1,
      photometricInterpretation: 'MONOCHROME2',
      bitsAllocated: 16,
      bitsStored: 16,
      highBit: 15,
      pixelRepresentation: 1,
    },
    voiLutModule: { windowCenter: [Number(ds.WindowCenter)], windowWidth: [Number(ds.WindowWidth)] },
    modalityLutModule: lut,
  };
  const scalarData = new Int16Array(Array.isArray(ds.PixelData) ? ds.PixelData[0] : ds.PixelData);
  images[imageId] = {
    imageId,
    rows,
    columns,
    height: rows,
    width: columns,
    minPixelValue: Math.min(...scalarData),
    maxPixelValue: Math.max(...scalarData),
    slope: lut.rescaleSlope,
    intercept: lut.rescaleIntercept,
    windowCenter: Number(ds.WindowCenter),
    windowWidth: Number(ds.WindowWidth),
    rowPixelSpacing: betweenRows,
    columnPixelSpacing: betweenColumns,
    sliceThickness: Number(ds.SliceThickness),
    color: false,
    rgba: false,
    invert: false,
    numberOfComponents: 1,
    dataType: 'Int16Array',
    sizeInBytes: scalarData.byteLength,
    getPixelData: () => scalarData,
    voxelManager: core.utilities.VoxelManager.createImageVoxelManager({
      width: columns,
      height: rows,
      numberOfComponents: 1,
      scalarData,
    }),
  };
  return imageId;
}

const drawn = (element, change) =>
  new Promise((resolve) => {
    element.addEventListener(core.Enums.Events.IMAGE_RENDERED, () => setTimeout(resolve, 300), { once: true });
    change();
  });

async function show() {
  const wanted = await (await fetch('wanted.json')).json();
  core.init();
  tools.init();
  core.metaData.addProvider((type, id) => modules[id]?.[type], 1000);
  core.imageLoader.registerImageLoader('ct', (id) => ({ promise: Promise.resolve(images[id]) }));
  const imageIds = [];
  for (const url of wanted.images) imageIds.push(await addImage(url));

  const element = document.getElementById('viewport');
  const engine = new core.RenderingEngine('engine');
  engine.enableElement({ viewportId: 'view', element, type: core.Enums.ViewportType.STACK });
  const viewport = engine.getViewport('view');
  await viewport.setStack(imageIds, wanted.at);
  const alone = await (async () => {
    await drawn(element, () => {
      viewport.setProperties({ interpolationType: core.Enums.InterpolationType.NEAREST });
      viewport.render();
    });
    return viewport.getCanvas().toDataURL('image/png');
  })();

  const [, buffer] = await read(wanted.segmentation);
  const { createLabelmapsFromDICOMBuffer } = adaptersSEG.Cornerstone3D.Segmentation;
  const seg = await createLabelmapsFromDICOMBuffer(imageIds, buffer, core.metaData, {});
  const labelmaps = seg.labelMapImages[0].map((one) => one.imageId);
  tools.segmentation.addSegmentations([
    { segmentationId: 'seg', representation: { type: Labelmap, data: { imageIds: labelmaps } } },
  ]);
  await tools.segmentation.addLabelmapRepresentationToViewport('view', [{ segmentationId: 'seg' }]);
  const style = { renderFill: true, renderOutline: false, fillAlpha: 1, fillAlphaInactive: 1 };
  tools.segmentation.config.style.setStyle({ type: Labelmap }, style);
  const colours = {};
  for (const one of seg.segMetadata.data) {
    const lab = one?.RecommendedDisplayCIELabValue;
    if (!lab) continue;
    colours[one.SegmentNumber] = Colors.dicomlab2RGB(lab).map((part) => Math.round(part * 255));
    tools.segmentation.config.color.setSegmentIndexColor('view', 'seg', Number(one.SegmentNumber), [
      ...colours[one.SegmentNumber],
      255,
    ]);
  }
  await drawn(element, () => {
    tools.segmentation.triggerSegmentationEvents.triggerSegmentationModified('seg');
    viewport.render();
  });
  return { alone, over: viewport.getCanvas().toDataURL('image/png'), colours, groups: seg.labelMapImages.length };
}

const told = await show().catch((error) => ({ error: `${error}\n${error?.stack}` }));
await fetch('told', { method: 'POST', body: JSON.stringify(told) });
