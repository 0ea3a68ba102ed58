"use strict";
// The pictures and masks of the slice viewer: loaded from DICOMweb, and kept while they may be needed again.

const MAX_KEPT_SLICES = 80;
const LOAD_TIMEOUT_MS = 30000;

class SliceImages {
  // `index` is the answer of /api/series/UID/slices.
  constructor(index) {
    this.index = index;
    this.kept = new Map(); // key -> promise; the oldest first
  }

  // Returns the picture of slice `at` in that window, and the masks of each result on it.
  async load(at, window) {
    const results = this.index.results;
    const [picture, ...masks] = await Promise.all([
      this.keep(`picture ${at} ${window.center} ${window.width}`, () => this.picture(at, window)),
      ...results.map((result, number) => this.keep(`masks ${at} ${number}`, () => this.masks(result, at))),
    ]);
    return { picture, masks };
  }

  keep(key, load) {
    const found = this.kept.get(key) ?? load();
    this.kept.delete(key);
    this.kept.set(key, found);
    found.catch(() => this.kept.delete(key)); // the next request tries again
    const most = MAX_KEPT_SLICES * (1 + this.index.results.length);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= most) break;
      this.kept.delete(oldest);
    }
    return found;
  }

  async picture(at, window) {
    const slice = this.index.slices[at];
    const instance = this.instanceUrl(this.index.series_instance_uid, slice.sop_instance_uid);
    const response = await request(`${instance}/frames/${slice.frame}/rendered?window=${window.center},${window.width},linear`, "image/png");
    return createImageBitmap(await response.blob());
  }

  // Returns [{segment, pixels}]: one bit for each pixel, or its segment number where `segment` is 0.
  async masks(result, at) {
    const frames = result.overlay?.frames[at] ?? [];
    if (!frames.length) return [];
    const { rows, columns, bits } = result.overlay;
    const instance = this.instanceUrl(result.series_instance_uid, result.sop_instance_uid);
    const numbers = frames.map((frame) => frame.frame).join(",");
    const response = await request(`${instance}/frames/${numbers}`, 'multipart/related; type="application/octet-stream"');
    const bytes = Math.ceil((rows * columns * bits) / 8);
    const parts = partsOf(new Uint8Array(await response.arrayBuffer()), bytes);
    if (parts.length !== frames.length) throw new Error("the node sent another number of frames");
    return frames.map((frame, number) => ({ segment: frame.segment, pixels: parts[number] }));
  }

  instanceUrl(series, instance) {
    return `/dicom-web/studies/${this.index.study_instance_uid}/series/${series}/instances/${instance}`;
  }
}

async function request(url, accept) {
  const response = await fetch(url, { headers: { Accept: accept }, signal: AbortSignal.timeout(LOAD_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`the node answers with an error (${response.status})`);
  return response;
}

// Returns the contents of a multipart body (RFC 2046) whose parts all have that length.
function partsOf(body, length) {
  const parts = [];
  let at = 0;
  while ((at = endOfHeaders(body, at)) >= 0) {
    const part = body.subarray(at, at + length);
    if (part.length < length) throw new Error("the node sent an incomplete frame");
    parts.push(part);
    at += length;
  }
  return parts;
}

// Returns the position after the next empty line, where the content of a part begins; -1 if there is none.
function endOfHeaders(body, start) {
  for (let i = start; i + 3 < body.length; i++) {
    if (body[i] === 13 && body[i + 1] === 10 && body[i + 2] === 13 && body[i + 3] === 10) return i + 4;
  }
  return -1;
}

// Draws the masks into `image`. `colourOf(result, segment)` is [red, green, blue], or null for a hidden segment.
function drawMasks(image, index, masks, colourOf) {
  const out = image.data;
  masks.forEach((frames, number) => {
    for (const { segment, pixels } of frames) {
      const { bits } = index.results[number].overlay;
      const count = image.width * image.height;
      const wide = bits === 16 ? new Uint16Array(pixels.slice().buffer) : pixels;
      const single = segment ? colourOf(number, segment) : null;
      if (segment && !single) continue;
      for (let i = 0; i < count; i++) {
        const value = bits === 1 ? (pixels[i >> 3] >> (i & 7)) & 1 : wide[i];
        if (!value) continue;
        const colour = single ?? colourOf(number, value);
        if (!colour) continue;
        [out[4 * i], out[4 * i + 1], out[4 * i + 2]] = colour;
        out[4 * i + 3] = 255;
      }
    }
  });
}
