// The eye that looks at the scene: around a point by mouse, finger and wheel, or where the clip's camera stood.

class Orbit {
  constructor(canvas, scene) {
    this.scene = scene;
    this.canvas = canvas;
    this.fov = 38;
    this.fromCamera = false;
    this.home();
    this.pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(clamp(event.deltaY, -100, 100) * 0.0015));
    }, { passive: false });
  }

  // Everybody in sight, a little from the side.
  home() {
    const ends = [[], [], []];
    for (const person of this.scene.people)
      for (let row = 0; row < person.frames.length; row++) person.place(row).forEach((value, k) => ends[k].push(value));
    const spans = ends.map((values) => {
      const sorted = Float64Array.from(values).sort(), last = sorted.length - 1;
      return last < 0 ? [0, 0] : [sorted[Math.floor(last * 0.03)], sorted[Math.ceil(last * 0.97)]];
    });
    this.target = [(spans[0][0] + spans[0][1]) / 2, 0.85, (spans[2][0] + spans[2][1]) / 2];
    this.distance = clamp(3.4 + 1.1 * Math.max(spans[0][1] - spans[0][0], spans[2][1] - spans[2][0]), 3.4, 40);
    this.look(0.45, 0.2);
  }

  // Radians to the right of the front, and above the horizon.
  look(yaw, pitch) {
    Object.assign(this, { yaw, pitch, fromCamera: false });
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    this.fromCamera = false;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers.values()].filter((one) => one.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      this.zoom(apart(before) / Math.max(apart(event), 1));
      this.pan(dx / 2, dy / 2);
    } else if (event.shiftKey || before.button === 2 || before.button === 1) this.pan(dx, dy);
    else {
      this.yaw -= dx * 0.008;
      this.pitch = clamp(this.pitch + dy * 0.008, -1.5, 1.57);
    }
    this.pointers.set(event.pointerId, {
      pointerId: event.pointerId, clientX: event.clientX, clientY: event.clientY, button: before.button });
  }

  pan(dx, dy) {
    const turn = this.turn(), scale = (this.distance * 0.7) / this.canvas.clientHeight;
    this.target = add(this.target, add(times(turn.slice(0, 3), -dx * scale), times(turn.slice(3, 6), dy * scale)));
  }

  zoom(factor) {
    this.fromCamera = false;
    this.distance = clamp(this.distance * factor, 0.4, 120);
  }

  // Rows: right, up, backward.
  turn() {
    const back = [Math.sin(this.yaw) * Math.cos(this.pitch), Math.sin(this.pitch), Math.cos(this.yaw) * Math.cos(this.pitch)];
    const right = [Math.cos(this.yaw), 0, -Math.sin(this.yaw)];
    return [...right, ...cross(back, right), ...back];
  }

  // The clip's camera in the scene; its axes are x right, y down, z into the image.
  cameraTurn() {
    const m = this.scene.camera.turn;
    return [m[0], m[3], m[6], -m[1], -m[4], -m[7], -m[2], -m[5], -m[8]];
  }

  eye() {
    return this.fromCamera ? this.scene.camera.place : add(this.target, times(this.turn().slice(6, 9), this.distance));
  }

  matrix(aspect) {
    if (!this.fromCamera)
      return multiply(perspective(this.fov, aspect, 0.05, 400), viewFrom(this.eye(), this.turn()));
    const { fov } = this.scene.camera, own = this.scene.width / this.scene.height;
    const half = Math.tan((fov * Math.PI) / 360) * Math.max(1, own / aspect); // the whole of its picture fits
    const degrees = (Math.atan(half) * 360) / Math.PI;
    return multiply(perspective(degrees, aspect, 0.05, 400), viewFrom(this.eye(), this.cameraTurn()));
  }
}
