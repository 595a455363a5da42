// The page: what is shown, who is followed, keys and buttons. `#t=2.5&speed=0.5&follow=1&view=side` opens it so.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const SWITCHES = { m: ["mesh", "Bodies"], s: ["skeleton", "Skeleton"], f: ["floor", "Floor"], w: ["ways", "Ways"], k: ["marks", "On the clip"], p: ["camera", "Clip's camera"], l: ["loop", "Loop"] };
const KEYS = [
  ["space", "play, pause"], ["← →", "a frame back, on; with shift ten"], ["Home End", "first, last frame"], ["- +", "slower, faster"],
  ["1 … 9, 0", "follow a person, nobody"], ["M S F", "bodies, skeletons, floor"], ["W P", "ways, the clip's camera"],
  ["K", "skeletons on the clip"], ["L", "play over and over"], ["C V X T", "from the clip's camera, the front, the side, above"], ["R", "everybody in sight"]];
const VIEWS = { camera: "c", front: "v", side: "x", top: "t" };
const find = (id) => document.getElementById(id);

async function start() {
  const scene = await readScene();
  const shows = { mesh: true, skeleton: false, floor: true, ways: false, marks: false, camera: true };
  const orbit = new Orbit(find("scene"), scene), drawing = new Drawing(find("scene"), scene);
  const player = new Player(find("video"), scene);
  const chosen = {
    followed: null,
    hide: (person) => (person.hidden = !person.hidden),
    follow(person) {
      this.followed = this.followed === person ? null : person;
      find("follow").value = this.followed ? String(this.followed.id) : "";
    },
  };
  const timeline = new Timeline(find("rows"), scene, player, chosen);
  const page = { scene, shows, orbit, drawing, player, chosen, timeline };
  const trouble = await player.ready;
  find("views").classList.toggle("alone", !player.shows);
  if (trouble) notice(trouble);
  fill(page);
  listen(page);
  open(page);
  const turn = (now) => {
    player.tick(now);
    render(page);
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
  window.vibe = page; // for the console
  document.documentElement.dataset.ready = "yes";
}

function render({ scene, shows, orbit, drawing, player, chosen, timeline }) {
  const { frame } = player, one = chosen.followed;
  if (one && one.row[frame] >= 0 && !orbit.fromCamera) {
    const [x, , z] = one.place(one.row[frame]);
    orbit.target = [x, orbit.target[1], z];
  }
  drawing.draw(frame, orbit, shows);
  timeline.draw(frame);
  if (player.shows) drawMarks(scene, frame, shows.marks);
  find("clock").value = `${clockTime(scene.times[frame], true)} s · frame ${scene.first + frame}`;
  find("play").textContent = player.playing ? "❚❚" : "▶";
}

// The video as large as fits, and joints and bones on it.
function drawMarks(scene, frame, on) {
  const room = find("picture"), screen = find("screen"), canvas = find("marks");
  const scale = Math.min(room.clientWidth / scene.width, room.clientHeight / scene.height);
  screen.style.width = `${scene.width * scale}px`;
  screen.style.height = `${scene.height * scale}px`;
  const dense = scale * (window.devicePixelRatio || 1);
  const [width, height] = [Math.round(scene.width * dense), Math.round(scene.height * dense)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  if (!on) return;
  pen.lineWidth = Math.max(2, height / 200);
  pen.lineCap = "round";
  for (const person of scene.people) {
    if (person.hidden || !person.poseAt(frame)) continue;
    pen.strokeStyle = `rgb(${person.colour.map((value) => Math.round(value * 255)).join(",")})`;
    pen.beginPath();
    for (let joint = 1; joint < JOINTS; joint++) {
      pen.moveTo(...person.pixel(scene.parents[joint]).map((value) => value * dense));
      pen.lineTo(...person.pixel(joint).map((value) => value * dense));
    }
    pen.stroke();
  }
}

function fill({ scene, shows, player }) {
  for (const speed of SPEEDS) find("speed").add(new Option(`${speed}×`, String(speed), speed === 1, speed === 1));
  find("follow").add(new Option("nobody", ""));
  for (const person of scene.people) find("follow").add(new Option(`person ${person.id}`, String(person.id)));
  for (const [key, [name, label]] of Object.entries(SWITCHES)) {
    if (name === "marks" && !player.shows) continue;
    const button = document.createElement("button");
    Object.assign(button, { textContent: label, title: `${label} (${key.toUpperCase()})` });
    button.dataset.key = key;
    button.setAttribute("aria-pressed", String(name === "loop" ? player.loop : shows[name]));
    find("switches").append(button);
  }
  for (const [key, what] of KEYS) {
    const [term, told] = [document.createElement("dt"), document.createElement("dd")];
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    told.textContent = what;
    find("keys").append(term, told);
  }
  find("facts").textContent =
    `${scene.clip}, ${scene.width}×${scene.height} at ${scene.fps.toFixed(2)} frames a second; model ${scene.model}, body ${scene.body}; ${scene.written_by}`;
  if (!scene.people.length) notice("Nobody was found in this clip.");
}

function listen(page) {
  const { player, chosen, scene } = page;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || find("help").open) return;
    if (event.target instanceof HTMLSelectElement && event.key.startsWith("Arrow")) return;
    if (press(page, event.key, event.shiftKey)) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("button[data-key]");
    if (!button) return;
    press(page, button.dataset.key, event.shiftKey);
    button.blur(); // or the space bar would press it again
  });
  find("speed").addEventListener("change", () => player.go(Number(find("speed").value)));
  find("follow").addEventListener("change", () => {
    chosen.followed = scene.people.find((person) => String(person.id) === find("follow").value) || null;
    find("follow").blur();
  });
}

// Do what a key says; whether it says anything.
function press(page, key, shift) {
  const { scene, shows, orbit, player, chosen } = page;
  key = key.length === 1 ? key.toLowerCase() : key;
  const step = shift ? 10 : 1, at = SPEEDS.indexOf(player.speed);
  if (SWITCHES[key]) {
    const [name] = SWITCHES[key], owner = name === "loop" ? player : shows;
    owner[name] = !owner[name];
    document.querySelector(`#switches [data-key="${key}"]`)?.setAttribute("aria-pressed", String(owner[name]));
  } else if (key === " ") player.toggle();
  else if (key === "ArrowLeft" || key === "ArrowRight") {
    if (player.playing) player.pause();
    player.seek(player.frame + (key === "ArrowLeft" ? -step : step));
  } else if (key === "Home") player.seek(0);
  else if (key === "End") player.seek(scene.count - 1);
  else if (key === "-" || key === "+" || key === "=") setSpeed(player, SPEEDS[clamp(at + (key === "-" ? -1 : 1), 0, SPEEDS.length - 1)]);
  else if (key === "0") chosen.follow(chosen.followed);
  else if (/^[1-9]$/.test(key)) {
    const person = scene.people.find((one) => one.id === Number(key));
    if (person) chosen.follow(person);
  } else if (key === "c") orbit.fromCamera = !orbit.fromCamera;
  else if (key === "v") orbit.look(0, 0.1);
  else if (key === "x") orbit.look(Math.PI / 2, 0.1);
  else if (key === "t") orbit.look(0, 1.57);
  else if (key === "r") orbit.home();
  else if (key === "?") find("help").showModal();
  else return false;
  return true;
}

function setSpeed(player, speed) {
  player.go(speed);
  find("speed").value = String(speed);
}

// What the address asks for: t seconds or frame, speed, follow, view, hide and show, play=1.
function open(page) {
  const { scene, shows, player, chosen } = page, asked = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (asked.has(name) && Number.isFinite(Number(asked.get(name))) ? Number(asked.get(name)) : null);
  if (SPEEDS.includes(number("speed"))) setSpeed(player, number("speed"));
  for (const [word, on] of [["show", true], ["hide", false]])
    for (const name of (asked.get(word) || "").split(","))
      for (const [key, [its]] of Object.entries(SWITCHES)) if (its === name && shows[its] === !on) press(page, key, false);
  const person = scene.people.find((one) => one.id === number("follow"));
  if (person) chosen.follow(person);
  if (VIEWS[asked.get("view")]) press(page, VIEWS[asked.get("view")], false);
  const frame = number("frame"), seconds = number("t");
  if (frame !== null) player.seek(frame - scene.first);
  else if (seconds !== null) {
    const after = scene.times.findIndex((time) => time > seconds + 1e-4);
    player.seek(after < 0 ? scene.count - 1 : Math.max(after - 1, 0));
  } else player.seek(0);
  if (number("play") === 1) player.toggle();
}

function notice(text) {
  find("notice").textContent = text;
  find("notice").hidden = false;
}

start().catch((error) => {
  notice(`This page cannot be shown: ${error.message}`);
  document.documentElement.dataset.ready = "no";
});
