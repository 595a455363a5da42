// A row a person: when they are there, how sure the detector was, what was filled in, where shots end.

const ROW = 20, RULER = 18, NAMES = 92;

class Timeline {
  constructor(canvas, scene, player, chosen) {
    Object.assign(this, { canvas, scene, player, chosen });
    this.pulling = false;
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = this.point(event);
      if (x >= NAMES) {
        this.pulling = true;
        canvas.setPointerCapture(event.pointerId);
        player.seek(this.frameAt(x));
      } else if (y > RULER) {
        const person = scene.people[Math.floor((y - RULER) / ROW)];
        if (person) x < 22 ? chosen.hide(person) : chosen.follow(person);
      }
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = this.point(event);
      if (this.pulling) player.seek(this.frameAt(x));
      canvas.title = this.told(x, y);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.pulling = false));
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  frameAt(x) {
    const share = (x - NAMES) / Math.max(this.canvas.clientWidth - NAMES - 8, 1);
    return clamp(Math.floor(share * this.scene.count), 0, this.scene.count - 1);
  }

  left(frame) {
    return NAMES + (frame / this.scene.count) * (this.canvas.clientWidth - NAMES - 8);
  }

  told(x, y) {
    const person = this.scene.people[Math.floor((y - RULER) / ROW)];
    if (y < RULER || !person) return "";
    if (x < NAMES) return x < 22 ? "hide or show" : "follow";
    const row = person.row[this.frameAt(x)];
    if (row < 0) return `person ${person.id}: not here`;
    return `person ${person.id}: ` + (person.filled[row] ? "filled in" : `confidence ${(person.confidence[row] / 255).toFixed(2)}`);
  }

  draw(frame) {
    const { canvas, scene } = this, scale = window.devicePixelRatio || 1;
    const wide = canvas.clientWidth, high = RULER + ROW * scene.people.length + 4;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
      Object.assign(canvas, { width: Math.round(wide * scale), height: Math.round(high * scale) });
      canvas.style.height = `${high}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    this.drawRuler(pen);
    scene.people.forEach((person, number) => this.drawPerson(pen, person, RULER + number * ROW));
    pen.strokeStyle = "#ff6b6b";
    pen.setLineDash([3, 3]);
    for (const cut of scene.cuts) line(pen, this.left(cut), RULER - 6, high);
    pen.setLineDash([]);
    pen.strokeStyle = "#ffd166";
    pen.lineWidth = 2;
    line(pen, this.left(frame + 0.5), 0, high);
    pen.lineWidth = 1;
  }

  drawRuler(pen) {
    const { times, count } = this.scene, span = times[count - 1] - times[0] || 1;
    const room = (this.canvas.clientWidth - NAMES) / 70;
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((one) => span / one <= room) || 3600;
    pen.fillStyle = pen.strokeStyle = "#98a1ad";
    let next = Math.ceil(times[0] / step - 1e-6);
    for (let frame = 0; frame < count; frame++) {
      if (times[frame] < next * step - 1e-4) continue;
      pen.fillText(clockTime(next * step, step < 1), this.left(frame) + 3, 8);
      line(pen, this.left(frame), 4, RULER - 3);
      while (next * step <= times[frame] + 1e-4) next++;
    }
  }

  drawPerson(pen, person, top) {
    const css = (alpha) => `rgba(${person.colour.map((value) => Math.round(value * 255)).join(",")},${alpha})`;
    pen.fillStyle = css(1);
    pen.strokeStyle = css(1);
    if (person.hidden) pen.strokeRect(6.5, top + 5.5, 10, 10);
    else pen.fillRect(6, top + 5, 11, 11);
    pen.fillStyle = this.chosen.followed === person ? "#ffd166" : person.hidden ? "#5d6570" : "#e4e7ec";
    pen.fillText(`person ${person.id}`, 24, top + ROW / 2 + 1);
    const wide = this.left(1) - this.left(0), step = Math.max(1, Math.floor(1 / wide));
    for (let row = 0; row < person.frames.length; row += step) {
      const filled = person.filled[row], sure = person.confidence[row] / 255, high = filled ? 5 : 4 + 12 * sure;
      pen.fillStyle = filled ? "#6b7380" : css(person.hidden ? 0.2 : 0.4 + 0.6 * sure);
      const from = Math.round(this.left(person.frames[row])), to = Math.round(this.left(person.frames[row]) + wide * step);
      pen.fillRect(from, top + 18 - high, Math.max(to - from, 1), high);
    }
  }
}

function line(pen, x, top, bottom) {
  pen.beginPath();
  pen.moveTo(x, top);
  pen.lineTo(x, bottom);
  pen.stroke();
}

function clockTime(seconds, fine) {
  const minutes = Math.floor(seconds / 60), rest = seconds - minutes * 60;
  return `${minutes}:${(fine ? rest.toFixed(2) : rest.toFixed(0)).padStart(fine ? 5 : 2, "0")}`;
}
