// A pan without drawing: where the graphics are slow, the picture that is there is moved, and drawn anew when the
// hand rests or its edge comes far into sight. A browser without a graphics card pans smoothly that way.

import type { WebMercatorViewport } from '@deck.gl/core';

/** Pictures that come more slowly than this, ms, are slow. */
const SLOW_MS = 40;
/** So many intervals between pictures decide. */
const INTERVALS = 3;
/** The hand rests after so many ms. */
const REST_MS = 250;
/** So much of the picture may be out of sight, of its width or height. */
const SHIFT_MAX = 0.25;

export class Slide {
  #canvas: () => HTMLElement | null;
  /** Has the picture drawn as it is to be. */
  #redraw: () => void;
  #intervals: number[] = [];
  #drawnAt = NaN;
  #isSlow = false;
  /** What the picture that is there was drawn for, and what the next one is. */
  #picture: WebMercatorViewport | null = null;
  #next: WebMercatorViewport | null = null;
  /** Where the middle of the map is now. */
  #middle: [number, number] = [0, 0];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(canvas: () => HTMLElement | null, redraw: () => void) {
    this.#canvas = canvas;
    this.#redraw = redraw;
  }

  /** Whether a pan to this zoom had better move the picture. */
  moves(zoom: number): boolean {
    return this.#isSlow && this.#picture !== null && (this.#next ?? this.#picture).zoom === zoom;
  }

  /** The hand takes hold: what came before says nothing of how fast pictures come. */
  begin(): void {
    this.#drawnAt = NaN;
  }

  /** The next picture will be for this; the old one stays where it is until then. */
  drawing(viewport: WebMercatorViewport): void {
    clearTimeout(this.#timer);
    this.#next = viewport;
    this.#middle = [viewport.longitude, viewport.latitude];
  }

  /** A picture was drawn, of what was asked for last. */
  drawn(isPanning: boolean, at: number): void {
    this.#picture = this.#next ?? this.#picture;
    this.#next = null;
    this.#place();
    const interval = at - this.#drawnAt;
    this.#drawnAt = isPanning ? at : NaN;
    if (!isPanning || !Number.isFinite(interval)) return;
    this.#intervals = [...this.#intervals, interval].slice(-INTERVALS);
    this.#isSlow ||= this.#intervals.filter((one) => one > SLOW_MS).length === INTERVALS;
  }

  /** Moves the picture to where its new middle is. */
  to(middle: [number, number]): void {
    this.#middle = middle;
    const { right, down, width, height } = this.#place();
    clearTimeout(this.#timer);
    const isFar = Math.abs(right) > width * SHIFT_MAX || Math.abs(down) > height * SHIFT_MAX;
    if (isFar && !this.#next) this.#redraw();
    else this.#timer = setTimeout(this.#redraw, REST_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #place(): { right: number; down: number; width: number; height: number } {
    const canvas = this.#canvas();
    if (!this.#picture || !canvas) return { right: 0, down: 0, width: 1, height: 1 };
    const { width, height, zoom } = this.#picture;
    const [x = 0, y = 0] = this.#picture.project(this.#middle);
    // After a zoom the old picture fits nowhere.
    const fits = (this.#next?.zoom ?? zoom) === zoom;
    const [right, down] = fits ? [width / 2 - x, height / 2 - y] : [0, 0];
    const isMoved = Math.abs(right) > 0.5 || Math.abs(down) > 0.5;
    canvas.style.transform = isMoved ? `translate(${right}px, ${down}px)` : '';
    return { right, down, width, height };
  }
}
