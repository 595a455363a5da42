// Which frame it is. While it plays, the video says so; without one, the clock does.

class Player {
  constructor(video, scene) {
    Object.assign(this, { video, scene, frame: 0, speed: 1, playing: false, loop: true, shows: false, clock: 0 });
    const data = bytesIn("clip");
    this.ready = data.length ? this.open(data) : Promise.resolve("");
  }

  // Resolves to what is wrong with the video, or nothing.
  open(data) {
    const { video } = this;
    return new Promise((resolve) => {
      video.addEventListener("loadeddata", () => {
        this.shows = true;
        if (video.requestVideoFrameCallback) this.watch();
        resolve("");
      });
      video.addEventListener("error", () => resolve("This browser cannot play the clip (H.264): the scene runs by itself."));
      video.addEventListener("ended", () => this.end());
      video.src = URL.createObjectURL(new Blob([data], { type: "video/mp4" }));
    });
  }

  watch() {
    this.video.requestVideoFrameCallback((_, facts) => {
      this.seen = facts.mediaTime;
      this.watch();
    });
  }

  // The frame that is shown at a second of the page's video.
  frameAt(seconds) {
    const { shown } = this.scene;
    let low = 0, high = shown.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (shown[middle] <= seconds + 1e-3) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  length() {
    return this.scene.shown[this.scene.count - 1] + 1 / this.scene.fps;
  }

  seek(frame) {
    this.frame = clamp(Math.round(frame), 0, this.scene.count - 1);
    const { shown } = this.scene, next = this.frame + 1 < shown.length ? shown[this.frame + 1] : this.length();
    this.clock = shown[this.frame];
    this.seen = undefined;
    if (this.shows) this.video.currentTime = (shown[this.frame] + next) / 2;
  }

  toggle() {
    if (this.playing) return this.pause();
    if (this.frame === this.scene.count - 1) this.seek(0);
    this.playing = true;
    this.before = undefined;
    this.seen = undefined;
    if (this.shows) this.video.play().catch(() => this.pause());
  }

  pause() {
    this.playing = false;
    if (!this.shows) return;
    this.video.pause();
    this.seek(this.frame);
  }

  end() {
    if (!this.playing) return;
    this.seek(this.loop ? 0 : this.scene.count - 1);
    if (!this.loop) this.pause();
    else if (this.shows) this.video.play();
  }

  go(speed) {
    this.speed = speed;
    this.video.playbackRate = speed;
  }

  // Called before each picture of the screen; `now` in milliseconds.
  tick(now) {
    if (!this.playing) return;
    if (this.shows) {
      if (!this.video.seeking) this.frame = this.frameAt(this.seen ?? this.video.currentTime);
      return;
    }
    this.clock += this.before === undefined ? 0 : ((now - this.before) / 1000) * this.speed;
    this.before = now;
    if (this.clock >= this.length()) this.end();
    else this.frame = this.frameAt(this.clock);
  }
}
