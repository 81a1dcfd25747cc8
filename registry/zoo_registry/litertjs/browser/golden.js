// Golden vectors as the zoo stores them: golden.npz, a zip of input_0.npy, …, output_0.npy, … each [examples, …].
//
//   zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT   npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// The bytes may come from anywhere: sizes are bounded, what was not asked for is refused, and every mistake is a LabError of kind "load".
import { LabError } from "./errors.js";

const MAX_BYTES = 256 * 2 ** 20; // of the file, and of all that is in it
const MAX_ENTRIES = 64;
const MAX_RANK = 8;
const END_OF_DIRECTORY = 0x06054b50, IN_DIRECTORY = 0x02014b50, IN_PLACE = 0x04034b50;
const END_SIZE = 22, DIRECTORY_SIZE = 46, PLACE_SIZE = 30;
const STORED = 0, DEFLATED = 8, ENCRYPTED = 1;
const NAME = /^(input|output)_(0|[1-9][0-9]?)\.npy$/;
const HEADER = /^\{'descr': '([<|][a-z][0-9])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \}\s*$/;
const TYPES = {
  "<f4": ["float32", Float32Array], "<i4": ["int32", Int32Array], "|u1": ["uint8", Uint8Array], "|i1": ["int8", Int8Array], "<i2": ["int16", Int16Array],
};

/**
 * Read golden vectors.
 *
 * @param {ArrayBuffer} buffer a golden.npz, whole
 * @returns {Promise<{inputs: Vector[], outputs: Vector[], examples: number}>} by port; a Vector is {dtype, shape, data}, shape[0] = examples
 * @throws {LabError} of kind "load": damaged, too large, or not what the zoo writes
 */
export async function readGolden(buffer) {
  const found = { input: [], output: [] };
  for (const [name, bytes] of await unzip(buffer)) {
    const [, port, index] = NAME.exec(name);
    found[port][Number(index)] = readArray(name, bytes);
  }
  const all = [...found.input, ...found.output];
  refuseIf(found.input.length === 0 || found.output.length === 0, "no inputs or no outputs in it");
  refuseIf(all.some((vector) => vector === undefined), "a port is missing in it"); // the spread turns holes into undefined
  const examples = all[0].shape[0];
  refuseIf(!(examples > 0) || all.some((vector) => vector.shape[0] !== examples), "its ports disagree on the number of examples");
  return { inputs: found.input, outputs: found.output, examples };
}

function refuseIf(wrong, why) {
  if (wrong) throw new LabError("load", `golden vectors: ${why}`);
}

async function unzip(buffer) {
  refuseIf(!(buffer instanceof ArrayBuffer) || buffer.byteLength < END_SIZE, "not a zip file");
  refuseIf(buffer.byteLength > MAX_BYTES, `more than ${MAX_BYTES} bytes`);
  const view = new DataView(buffer), files = new Map();
  let left = MAX_BYTES;
  for (const entry of directory(view)) {
    refuseIf(!NAME.test(entry.name) || files.has(entry.name), `unexpected ${JSON.stringify(entry.name.slice(0, 40))} in it`);
    refuseIf(entry.size > left, `more than ${MAX_BYTES} bytes in it`);
    left -= entry.size;
    files.set(entry.name, await content(view, entry));
  }
  return files;
}

function directory(view) {
  const end = view.byteLength - END_SIZE; // the zoo writes no comment behind it
  refuseIf(view.getUint32(end, true) !== END_OF_DIRECTORY, "not a zip file, or cut off");
  const count = view.getUint16(end + 10, true), entries = [];
  refuseIf(count > MAX_ENTRIES, `more than ${MAX_ENTRIES} arrays in it`);
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < count; i++) {
    refuseIf(at + DIRECTORY_SIZE > end || view.getUint32(at, true) !== IN_DIRECTORY, "its directory is damaged");
    const name = view.getUint16(at + 28, true), rest = view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    refuseIf(at + DIRECTORY_SIZE + name > end, "its directory is damaged");
    entries.push({
      name: latin(view, at + DIRECTORY_SIZE, name), flags: view.getUint16(at + 8, true), method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true), packed: view.getUint32(at + 20, true), size: view.getUint32(at + 24, true), place: view.getUint32(at + 42, true),
    });
    at += DIRECTORY_SIZE + name + rest;
  }
  return entries;
}

async function content(view, { name, flags, method, crc, packed, size, place }) {
  refuseIf((flags & ENCRYPTED) !== 0 || (method !== STORED && method !== DEFLATED), `${name} is packed in a way the zoo does not use`);
  refuseIf(place + PLACE_SIZE > view.byteLength || view.getUint32(place, true) !== IN_PLACE, `${name} is not where the directory says`);
  const start = place + PLACE_SIZE + view.getUint16(place + 26, true) + view.getUint16(place + 28, true);
  refuseIf(start + packed > view.byteLength, `${name} is cut off`);
  const raw = new Uint8Array(view.buffer, start, packed);
  const bytes = method === STORED ? raw.slice() : await inflate(name, raw, size);
  refuseIf(bytes.length !== size || checksum(bytes) !== crc, `${name} is damaged`);
  return bytes;
}

async function inflate(name, raw, size) {
  const out = new Uint8Array(size), reader = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  try {
    for (let at = 0; ; ) {
      const { done, value } = await reader.read();
      if (done) return out.subarray(0, at);
      refuseIf(at + value.length > size, `${name} holds more than it says`); // a bomb stops here
      out.set(value, at);
      at += value.length;
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof LabError ? error : new LabError("load", `golden vectors: ${name} is damaged`);
  }
}

let table;

function checksum(bytes) {
  table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function readArray(name, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  refuseIf(bytes.length < 12 || latin(view, 0, 6) !== "\x93NUMPY", `${name} is not an array`);
  const short = view.getUint8(6) === 1, start = short ? 10 : 12;
  const body = start + (short ? view.getUint16(8, true) : view.getUint32(8, true));
  refuseIf(view.getUint8(6) > 3 || body > bytes.length, `${name} is not an array`);
  const [, descr, spelled] = HEADER.exec(latin(view, start, body - start)) ?? [];
  refuseIf(!(descr in TYPES), `${name}: an array type or order the zoo does not write`);
  const shape = spelled.split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  refuseIf(shape.length === 0 || shape.length > MAX_RANK || !shape.every(Number.isSafeInteger), `${name}: a shape the zoo does not write`);
  const [dtype, Type] = TYPES[descr], count = shape.reduce((all, one) => all * one, 1);
  refuseIf(count * Type.BYTES_PER_ELEMENT !== bytes.length - body, `${name}: its shape and its bytes disagree`);
  return { dtype, shape, data: new Type(bytes.slice(body).buffer) };
}

function latin(view, start, length) {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + start, Math.min(length, 4096)));
}
