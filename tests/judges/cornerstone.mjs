// What cornerstone's adapters, which OHIF reads structured reports with, make of one: its annotations as JSON.
// Arguments: the folder with node_modules, the report, and a JSON file with the planes of its images by image id.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , folder, report, planesFile] = process.argv;
const require = createRequire(join(folder, 'anchor.js'));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
// Both must be one copy of the library: the adapters ask its metaData where an image lies
const { metaData } = await import(pathToFileURL(join(folder, 'node_modules/@cornerstonejs/core/dist/esm/index.js')).href);
const { adaptersSR } = await import(
  pathToFileURL(join(folder, 'node_modules/@cornerstonejs/adapters/dist/esm/index.js')).href
);
const loaded = await load('dcmjs');
const { DicomMessage, DicomMetaDictionary } = (loaded.default ?? loaded).data;

const planes = JSON.parse(readFileSync(planesFile, 'utf8'));
const provider = { get: (type, id) => (type === 'imagePlaneModule' ? planes[id] : undefined) };
metaData.addProvider((type, id) => provider.get(type, id), 1000);

const bytes = readFileSync(report);
const message = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const dataset = DicomMetaDictionary.naturalizeDataset(message.dict);
dataset._meta = DicomMetaDictionary.namifyDataset(message.meta);
const ids = Object.fromEntries(
  Object.entries(planes).map(([id, plane]) => [`${plane.sopInstanceUID}:${plane.frame}`, id])
);

const state = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(dataset, ids, provider, {});
const told = Object.entries(state).flatMap(([tool, annotations]) =>
  annotations.map((one) => ({
    tool,
    tracking_uid: one.TrackingUniqueIdentifier,
    label: one.annotation.data.label,
    finding: one.description,
    image: one.annotation.metadata.referencedImageId,
    points: one.annotation.data.handles.points,
    stats: Object.values(one.annotation.data.cachedStats)[0],
  }))
);
process.stdout.write(`\n==== ${JSON.stringify(told)}\n`, () => process.exit(0)); // not before the pipe has all of it
