// Drawing by WebGL 2: skinned bodies, their shadows, skeletons, ways, the floor, the clip's camera.

const HEAD = "#version 300 es\nprecision highp float;\n";

// A vertex goes where its bones go: linear blend skinning, 24 bones of three rows each.
const BODY_VERTEX = `${HEAD}
in vec3 position; in vec3 normal; in vec4 bone; in vec4 weight;
uniform mat4 eye; uniform vec4 bones[72]; uniform float unit; uniform float flatness;
out vec3 way; out vec3 place;
void main() {
  vec4 x = vec4(0), y = vec4(0), z = vec4(0);
  for (int k = 0; k < 4; k++) {
    int row = int(bone[k]) * 3;
    x += weight[k] * bones[row]; y += weight[k] * bones[row + 1]; z += weight[k] * bones[row + 2];
  }
  vec4 rest = vec4(position * unit, 1);
  place = vec3(dot(x, rest), dot(y, rest), dot(z, rest));
  way = vec3(dot(x.xyz, normal), dot(y.xyz, normal), dot(z.xyz, normal));
  if (flatness > 0.0) place = vec3(place.x + 0.15 * place.y, 0.004, place.z - 0.1 * place.y);
  gl_Position = eye * vec4(place, 1);
}`;

const BODY_FRAGMENT = `${HEAD}
in vec3 way; in vec3 place; uniform vec4 colour; uniform vec3 seen; uniform float flatness; out vec4 shade;
void main() {
  if (flatness > 0.0) { shade = colour; return; }
  vec3 n = normalize(way), v = normalize(seen - place);
  float sky = 0.5 + 0.5 * n.y, key = max(dot(n, normalize(vec3(0.4, 0.75, 0.55))), 0.0);
  float edge = pow(1.0 - max(dot(n, v), 0.0), 3.0), glint = pow(max(dot(reflect(-v, n), normalize(vec3(0.4, 0.75, 0.55))), 0.0), 24.0);
  shade = vec4(colour.rgb * (0.30 + 0.28 * sky + 0.52 * key) + 0.10 * edge + 0.10 * glint, colour.a);
}`;

const LINE_VERTEX = `${HEAD}
in vec3 position; in vec4 colour; uniform mat4 eye; out vec4 tint;
void main() { tint = colour; gl_Position = eye * vec4(position, 1); }`;

const LINE_FRAGMENT = `${HEAD}in vec4 tint; out vec4 shade; void main() { shade = tint; }`;

const FLOOR_FRAGMENT = `${HEAD}
in vec4 tint; uniform vec2 middle; out vec4 shade;
float lines(vec2 at, float step) {
  vec2 cell = at / step, wide = fwidth(cell), near = abs(fract(cell - 0.5) - 0.5) / max(wide, 1e-6);
  return (1.0 - min(min(near.x, near.y), 1.0)) * clamp(0.35 / max(wide.x, wide.y), 0.0, 1.0);
}
void main() {
  float far = 1.0 - smoothstep(4.0, 18.0, distance(tint.xy, middle));
  float drawn = max(0.55 * lines(tint.xy, 1.0), 0.22 * lines(tint.xy, 0.25));
  shade = vec4(mix(vec3(0.13, 0.15, 0.18), vec3(0.62, 0.68, 0.76), drawn), far * 0.96);
}`;

class Drawing {
  constructor(canvas, scene) {
    const gl = canvas.getContext("webgl2", { antialias: true, stencil: true, alpha: false });
    if (!gl) throw new Error("this browser has no WebGL 2, which draws the people");
    this.gl = gl;
    this.scene = scene;
    this.canvas = canvas;
    this.body = this.program(BODY_VERTEX, BODY_FRAGMENT, ["position", "normal", "bone", "weight"]);
    this.line = this.program(LINE_VERTEX, LINE_FRAGMENT, ["position", "colour"]);
    this.floor = this.program(LINE_VERTEX, FLOOR_FRAGMENT, ["position", "colour"]);
    this.lines = gl.createBuffer();
    if (scene.people.length) this.meshes = scene.people.map((person) => this.mesh(person));
  }

  program(vertex, fragment, names) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) || "a shader");
      gl.attachShader(program, shader);
    }
    names.forEach((name, place) => gl.bindAttribLocation(program, place, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "a program");
    const at = {};
    for (const name of ["eye", "bones", "unit", "flatness", "colour", "seen", "middle"])
      at[name] = gl.getUniformLocation(program, name);
    return { program, at };
  }

  buffer(target, data) {
    const made = this.gl.createBuffer();
    this.gl.bindBuffer(target, made);
    this.gl.bufferData(target, data, this.gl.STATIC_DRAW);
    return made;
  }

  // A person's shape on the graphics card: the T-pose and what moves it.
  mesh(person) {
    const gl = this.gl, { faces, bones, weights } = this.scene.skin, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const parts = [
      [person.vertices, 3, gl.SHORT, false, 6], [person.normals(faces), 3, gl.BYTE, true, 4],
      [bones, 4, gl.UNSIGNED_BYTE, false, 4], [weights, 4, gl.UNSIGNED_BYTE, true, 4]];
    parts.forEach(([data, count, type, normalised, stride], place) => {
      this.buffer(gl.ARRAY_BUFFER, data);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, count, type, normalised, stride, 0);
    });
    this.buffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    gl.bindVertexArray(null);
    return { array, count: faces.length, type: faces instanceof Uint32Array ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT };
  }

  // Everything that is to be seen in a frame; `shows` says what.
  draw(frame, orbit, shows) {
    const gl = this.gl, canvas = this.canvas, scale = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * scale)), height = Math.max(1, Math.round(canvas.clientHeight * scale));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0.075, 0.085, 0.1, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE);
    const eye = orbit.matrix(width / height), seen = orbit.eye();
    const people = this.scene.people.map((person, number) => ({ person, mesh: this.meshes[number] }))
      .filter(({ person }) => !person.hidden && person.poseAt(frame));
    if (shows.floor) {
      this.drawFloor(eye, orbit.target);
      if (shows.mesh) this.drawShadows(eye, people);
    }
    if (shows.camera && !orbit.fromCamera) this.drawLines(eye, this.cameraLines());
    if (shows.ways) for (const { person } of people) this.drawLines(eye, wayLines(person, person.at));
    if (shows.skeleton) for (const { person } of people) this.drawTriangles(eye, boneTriangles(person, seen));
    if (shows.mesh)
      for (const one of people) this.drawBody(eye, one, [...one.person.colour, shows.skeleton ? 0.42 : 1], seen, 0);
  }

  drawBody(eye, { person, mesh }, colour, seen, flatness) {
    const gl = this.gl, { program, at } = this.body;
    gl.useProgram(program);
    gl.uniformMatrix4fv(at.eye, false, eye);
    gl.uniform4fv(at.bones, person.bones);
    gl.uniform1f(at.unit, METRES);
    gl.uniform1f(at.flatness, flatness);
    gl.uniform4fv(at.colour, colour);
    gl.uniform3fv(at.seen, seen);
    gl.bindVertexArray(mesh.array);
    if (colour[3] < 1 && !flatness) { // only what is nearest shines through
      gl.colorMask(false, false, false, false);
      gl.drawElements(gl.TRIANGLES, mesh.count, mesh.type, 0);
      gl.colorMask(true, true, true, true);
      gl.depthFunc(gl.LEQUAL);
    }
    gl.drawElements(gl.TRIANGLES, mesh.count, mesh.type, 0);
    gl.depthFunc(gl.LESS);
    gl.bindVertexArray(null);
  }

  // Bodies laid flat on the floor, each point of it darkened once.
  drawShadows(eye, people) {
    const gl = this.gl;
    gl.enable(gl.STENCIL_TEST);
    gl.stencilFunc(gl.EQUAL, 0, 255);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    gl.depthMask(false);
    for (const one of people) this.drawBody(eye, one, [0, 0, 0, 0.42], [0, 0, 0], 1);
    gl.depthMask(true);
    gl.disable(gl.STENCIL_TEST);
  }

  drawFloor(eye, target) {
    const gl = this.gl, reach = 20, [x, , z] = target, corners = [];
    for (const [a, b] of [[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]])
      corners.push(x + a * reach, 0, z + b * reach, x + a * reach, z + b * reach, 0, 1);
    gl.useProgram(this.floor.program);
    gl.uniform2f(this.floor.at.middle, x, z);
    gl.depthMask(false);
    this.send(this.floor, eye, corners, gl.TRIANGLES);
    gl.depthMask(true);
  }

  drawLines(eye, values) {
    this.send(this.line, eye, values, this.gl.LINES);
  }

  drawTriangles(eye, values) {
    this.send(this.line, eye, values, this.gl.TRIANGLES);
  }

  // Corners of seven numbers each: place and colour.
  send(how, eye, values, kind) {
    const gl = this.gl;
    gl.useProgram(how.program);
    gl.uniformMatrix4fv(how.at.eye, false, eye);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.lines);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(values), gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 28, 0);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.FLOAT, false, 28, 12);
    gl.drawArrays(kind, 0, values.length / 7);
    gl.disableVertexAttribArray(0);
    gl.disableVertexAttribArray(1);
  }

  // The pyramid that the clip's camera sees, half a metre deep.
  cameraLines() {
    const { place, turn, fov } = this.scene.camera, tint = [0.85, 0.88, 0.93, 0.8], out = [];
    const y = Math.tan((fov * Math.PI) / 360) * 0.5, x = (y * this.scene.width) / this.scene.height;
    const corners = [[-x, -y], [x, -y], [x, y], [-x, y]].map(([a, b]) => add(place, turned(turn, [a, b, 0.5])));
    corners.forEach((corner, k) => {
      for (const [from, to] of [[place, corner], [corner, corners[(k + 1) % 4]]]) out.push(...from, ...tint, ...to, ...tint);
    });
    return out;
  }
}

// The way of a pelvis over the floor: what was, and paler what comes.
function wayLines(person, at) {
  const out = [];
  for (let row = 1; row < person.frames.length; row++) {
    if (person.frames[row] !== person.frames[row - 1] + 1) continue;
    const tint = [...person.colour, row <= at ? 0.9 : 0.25];
    for (const k of [row - 1, row]) out.push(person.places[k * 3], 0.01, person.places[k * 3 + 2], ...tint);
  }
  return out;
}

// Bones as slender double pyramids, lit from the eye.
function boneTriangles(person, seen) {
  const out = [], joint = (j) => [...person.posed.subarray(j * 3, j * 3 + 3)];
  for (let j = 1; j < JOINTS; j++) {
    const from = joint(person.parents[j]), to = joint(j), along = minus(to, from), length = size(along);
    if (length < 1e-4) continue;
    const one = unit(Math.abs(along[1]) < 0.9 * length ? cross(along, [0, 1, 0]) : cross(along, [1, 0, 0]));
    const two = unit(cross(along, one)), wide = clamp(length * 0.13, 0.01, 0.035), knee = add(from, times(along, 0.2));
    const ring = [[1, 0], [0, 1], [-1, 0], [0, -1]].map(([a, b]) => add(knee, add(times(one, a * wide), times(two, b * wide))));
    for (let k = 0; k < 4; k++)
      for (const corners of [[from, ring[(k + 1) % 4], ring[k]], [to, ring[k], ring[(k + 1) % 4]]]) {
        const normal = unit(cross(minus(corners[1], corners[0]), minus(corners[2], corners[0])));
        const light = 0.55 + 0.45 * Math.abs(dot(normal, unit(minus(seen, corners[0]))));
        for (const corner of corners) out.push(...corner, ...person.colour.map((value) => (0.35 + 0.65 * value) * light), 1);
      }
  }
  return out;
}
