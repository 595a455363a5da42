// The packed scene (scene.py says how), and what a person does in a frame.

const TYPES = { int16: Int16Array, uint16: Uint16Array, uint32: Uint32Array, uint8: Uint8Array, float32: Float32Array };
const JOINTS = 24, RADIANS = Math.PI / 32767, METRES = 4 / 32767, QUARTERS = 4;

function bytesIn(id) {
  const text = atob(document.getElementById(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function readScene() {
  const stream = new Blob([bytesIn("packed")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const scene = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const { name, type, shape, at } of scene.arrays)
    arrays[name] = new TYPES[type](buffer, 4 + length + at, shape.reduce((a, b) => a * b, 1));
  scene.times = arrays.times;
  scene.shown = arrays.shown;
  scene.count = scene.times.length;
  scene.camera.turn = scene.camera.turn.flat();
  scene.skin = { faces: arrays.faces, bones: arrays.bones, weights: arrays.weights };
  scene.people = scene.people.map((facts) => new Person(facts, arrays, scene));
  return scene;
}

class Person {
  constructor(facts, arrays, scene) {
    Object.assign(this, facts);
    for (const name of ["frames", "angles", "places", "pixels", "confidence", "filled", "vertices", "joints"])
      this[name] = arrays[name + this.id];
    for (const [steps, wide] of [[this.angles, JOINTS * 3], [this.pixels, JOINTS * 2]])
      for (let i = wide; i < steps.length; i++) steps[i] += steps[i - wide]; // modulo 2¹⁶
    this.parents = scene.parents;
    this.row = new Int32Array(scene.count).fill(-1);
    this.frames.forEach((frame, row) => (this.row[frame] = row));
    this.hidden = false;
    this.bones = new Float32Array(JOINTS * 12); // rows of 3×4, from the T-pose to where it is
    this.posed = new Float32Array(JOINTS * 3); // joints in the world
    this.at = -1;
  }

  // Where the pelvis is in a row of the track.
  place(row) {
    return [this.places[row * 3], this.places[row * 3 + 1], this.places[row * 3 + 2]];
  }

  // Pose the body as it is in a frame of the page; whether the person is in it.
  poseAt(frame) {
    const row = this.row[frame];
    if (row < 0) return false;
    if (row === this.at) return true;
    this.at = row;
    const world = [], rest = this.joints, posed = this.posed;
    for (let joint = 0; joint < JOINTS; joint++) {
      const i = (row * JOINTS + joint) * 3, up = this.parents[joint], j = joint * 3;
      const local = turnOf(this.angles[i] * RADIANS, this.angles[i + 1] * RADIANS, this.angles[i + 2] * RADIANS);
      world[joint] = up < 0 ? local : turnTimes(world[up], local);
      const from = up < 0 ? [0, 0, 0] : [rest[up * 3], rest[up * 3 + 1], rest[up * 3 + 2]];
      const bone = minus([rest[j], rest[j + 1], rest[j + 2]], from);
      const start = up < 0 ? this.place(row) : [posed[up * 3], posed[up * 3 + 1], posed[up * 3 + 2]];
      posed.set(up < 0 ? start : add(start, turned(world[up], bone)), j);
      const offset = minus([posed[j], posed[j + 1], posed[j + 2]], turned(world[joint], [rest[j], rest[j + 1], rest[j + 2]]));
      for (let k = 0; k < 3; k++) {
        this.bones.set(world[joint].slice(k * 3, k * 3 + 3), joint * 12 + k * 4);
        this.bones[joint * 12 + k * 4 + 3] = offset[k];
      }
    }
    return true;
  }

  // Where a joint of the posed frame is in the clip's picture, pixels.
  pixel(joint) {
    const i = (this.at * JOINTS + joint) * 2;
    return [this.pixels[i] / QUARTERS, this.pixels[i + 1] / QUARTERS];
  }

  // Normals of the T-pose, 127ths of length 1: those of the faces around, by their areas.
  normals(faces) {
    const v = this.vertices, sums = new Float32Array(v.length), out = new Int8Array((v.length / 3) * 4);
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [faces[i] * 3, faces[i + 1] * 3, faces[i + 2] * 3];
      const across = cross(
        [v[b] - v[a], v[b + 1] - v[a + 1], v[b + 2] - v[a + 2]], [v[c] - v[a], v[c + 1] - v[a + 1], v[c + 2] - v[a + 2]]);
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) sums[corner + k] += across[k];
    }
    for (let i = 0; i < v.length / 3; i++) {
      const normal = unit([sums[i * 3], sums[i * 3 + 1], sums[i * 3 + 2]]);
      for (let k = 0; k < 3; k++) out[i * 4 + k] = Math.round(normal[k] * 127);
    }
    return out;
  }
}
