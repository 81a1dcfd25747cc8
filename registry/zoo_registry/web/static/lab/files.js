// What a session needs of one release: its record, its file and its golden vectors, each held against the digest it goes by.

import { sha256 } from "./digest.js";
import { LabError } from "./errors.js";
import { readGolden } from "./golden.js";

/**
 * Turn a release into a subject of session.js; nothing is loaded before its turn.
 *
 * @param {object} entry as the page lists it
 * @param {object} record the release's record
 */
export function subject(entry, record) {
  return {
    id: record.file.sha256, name: entry.name,
    load: async (signal) => {
      if (!record.golden) throw new LabError("load", "it was published without golden vectors, and a latency without a checked output is not a latency");
      const golden = await readGolden((await blob(record.golden.sha256, record.golden.size, signal)).buffer);
      return { bytes: await blob(record.file.sha256, record.file.size, signal), golden, atol: record.golden.atol, rule: record.golden.rule };
    },
  };
}

/** Say before anything is loaded why a file cannot run here; null when it may. LiteRT.js has float32, int32 and uint8 at the interface. */
export function obstacle({ signature }) {
  const other = [...signature.inputs, ...signature.outputs].find(({ dtype }) => !["float32", "int32", "uint8"].includes(dtype));
  return other ? { kind: "interface", message: `it takes or gives ${other.dtype}; LiteRT.js has no ${other.dtype} tensors at the interface` } : null;
}

/** Load a release's record. */
export async function record(entry, signal) {
  const answer = await fetch(entry.record, { signal });
  if (!answer.ok) throw new LabError("device", `the registry does not give the record of ${entry.name}: ${answer.status}`);
  const found = await answer.json();
  if (found.file?.sha256 !== entry.sha256) throw new LabError("device", `the record of ${entry.name} speaks of another file`);
  return found;
}

async function blob(digest, size, signal) {
  // The registry itself sends it: a store elsewhere would have to let this page in.
  const answer = await fetch(`/v1/blobs/${digest}?direct=true`, { signal }).catch((error) => { throw lost(error, signal); });
  if (!answer.ok) throw new LabError("load", `the registry does not give the file: ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer().catch((error) => { throw lost(error, signal); }));
  if (bytes.length !== size || (await sha256(bytes)) !== digest) throw new LabError("load", "the bytes that came are not the ones published");
  return bytes;
}

function lost(error, signal) {
  return signal?.aborted ? signal.reason : new LabError("load", `the download broke off: ${error.message}`);
}
