// What cornerstone's adapters, which OHIF reads results with, make of a segmentation or a parametric map, as JSON.
// Arguments: the folder with node_modules, "SEG" or "PM", the object, and a JSON file with the modules of the
// images by id.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , folder, kind, path, modulesFile] = process.argv;
const load = (name) => import(pathToFileURL(join(folder, `node_modules/@cornerstonejs/${name}/dist/esm/index.js`)).href);
const { metaData } = await load('core');
const { adaptersSEG, adaptersPMAP } = await load('adapters');

const modules = JSON.parse(readFileSync(modulesFile, 'utf8'));
const get = (type, id) => modules[id]?.[type];
metaData.addProvider(get, 1000);
const bytes = readFileSync(path);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const ids = Object.keys(modules);
const TOLERANCE = 1e-3;

// Each voxel as [image, segment, pixel], of all label maps: there are several where segments overlap
async function voxels() {
  const { createLabelmapsFromDICOMBuffer } = adaptersSEG.Cornerstone3D.Segmentation;
  const read = await createLabelmapsFromDICOMBuffer(ids, buffer, { get }, {});
  return read.labelMapImages.flatMap((images) =>
    images.flatMap((image, n) =>
      [...image.getPixelData()].flatMap((segment, pixel) => (segment ? [[n, segment, pixel]] : []))
    )
  );
}

// All values, frame after frame. cornerstone 5.14 takes the argument before the tolerance for it
async function values() {
  const read = await adaptersPMAP.Cornerstone3D.ParametricMap.generateToolState(ids, buffer, { get }, TOLERANCE);
  return [...read.pixelData];
}

const told = JSON.stringify(await (kind === 'PM' ? values() : voxels()));
process.stdout.write(`\n==== ${told}\n`, () => process.exit(0)); // not before the pipe has all of it
