// The map: every lamp at its place, light and health apart; lamps are chosen by a click or a lasso.

import { Deck, type Layer, MapView, WebMercatorViewport } from '@deck.gl/core';
import { useEffect, useRef, useState } from 'preact/hooks';
import { fleet, tellPeople } from '../live/connection';
import { ActionBar } from '../commands/action-bar';
import { HEALTHS, HEALTH_WORDS, healthOf, isAsked, isOverridden, lightOf } from '../fleet/state';
import { reasonOf } from '../fleet/lamp-columns';
import { layersOf, paletteOf } from '../map/colours';
import { type Point, isInside } from '../map/geometry';
import { type Box, Scene } from '../map/scene';
import { Slide } from '../map/slide';
import { type Tiles, askTiles } from '../live/tiles';
import { Age } from '../parts/age';
import { Empty, Skeleton } from '../parts/empty';
import { HealthGlyph, LampGlyph } from '../parts/glyph';
import { Icon } from '../parts/icon';
import { loaded } from '../parts/connection';
import { useChanges } from '../parts/live';
import { mapLayer, theme } from '../settings';
import { linkTo, route } from '../router';
import { level, plural, watts } from '../format';

/** Lamps are drawn beyond what is in sight, by so much of its size on each side. */
const ROOM = 0.3;
/** So near to a lamp means the lamp. */
const TOUCH_PX = 12;

interface ViewState {
  longitude: number;
  latitude: number;
  zoom: number;
}

/** The map as people left it, while the page is open. */
let lastView: ViewState | null = null;

export default function Map() {
  const box = useRef<HTMLDivElement>(null);
  const control = useRef<Control | null>(null);
  const [chosen, choose] = useState<number[]>([]);
  const [hovered, hover] = useState<{ row: number; x: number; y: number } | null>(null);
  const [isLasso, setLasso] = useState(false);
  const [isEmpty, setEmpty] = useState(true);
  const [tiles, setTiles] = useState<Tiles | null>(null);
  useEffect(() => {
    const made = new Control(box.current!, { choose, hover, setEmpty });
    control.current = made;
    return () => made.close();
  }, []);
  useEffect(() => control.current?.look(), [theme.value, mapLayer.value]);
  useEffect(() => control.current?.mark(chosen), [chosen]);
  useEffect(() => void askTiles().then(async (told) => {
    if (!told) return;
    const { tileLayer } = await import('../map/tile-layer');
    setTiles(told);
    control.current?.lay((failed) => tileLayer(told, theme.peek(), failed));
  }), []);
  const wanted = route.value.query.get('at');
  useEffect(() => {
    const row = wanted ? fleet.row(wanted) : undefined;
    if (row === undefined) return;
    choose([row]);
    control.current?.goTo(row);
  }, [wanted, isEmpty]);
  return (
    <section class="map-view">
      <div class={`map-box ${isLasso ? 'lassoing' : ''}`} ref={box} />
      {isLasso && <Lasso onDone={(polygon) => { setLasso(false); if (polygon) choose(control.current!.inside(polygon)); }} />}
      {isEmpty && <div class="map-empty">{loaded().done ? <Empty icon="map" title="No lamp has a place yet">Register lamps with <code>latitude_e7</code> and <code>longitude_e7</code>.</Empty> : <Skeleton lines={5} />}</div>}
      <div class="map-tools">
        <h1 class="visually-hidden">Map</h1>
        <label class="field"><span class="visually-hidden">Colour lamps by</span>
          <select value={mapLayer.value} onChange={(event) => (mapLayer.value = event.currentTarget.value)}>
            {layersOf(paletteOf(theme.value)).map(({ key, name }) => <option key={key} value={key}>{name}</option>)}
          </select>
        </label>
        <button type="button" aria-pressed={isLasso} onClick={() => setLasso(!isLasso)}><Icon name="lasso" />Lasso</button>
        <button type="button" onClick={() => control.current?.fit()}><Icon name="fit" />Whole city</button>
      </div>
      <Legend />
      {tiles && <p class="map-attribution">{tiles.attribution}</p>}
      {hovered && <Hover {...hovered} />}
      {chosen.length > 0 && (
        <aside class="map-panel" aria-label="Chosen lamps">
          <button type="button" class="icon-button close" aria-label="Choose none" onClick={() => choose([])}><Icon name="close" /></button>
          {chosen.length === 1 ? <One row={chosen[0]!} /> : <Many rows={chosen} />}
          <ActionBar target={{ lamps: chosen.map((row) => fleet.id(row)) }} lamps={chosen.length} />
        </aside>
      )}
    </section>
  );
}

function One({ row }: { row: number }) {
  useChanges();
  const health = healthOf(fleet, row);
  return (
    <div class="map-lamp">
      <h2><LampGlyph light={lightOf(fleet, row)} level={fleet.get(row, 'actual')} health={health} isOverridden={isOverridden(fleet, row)} isAsked={isAsked(fleet, row)} />
        <a href={linkTo('lamp', fleet.id(row))}>{fleet.id(row)}</a></h2>
      <p>{[fleet.label(row, 'street'), fleet.label(row, 'cabinet'), fleet.label(row, 'phase')].filter(Boolean).join(' · ')}</p>
      <p><b>{level(fleet.get(row, 'actual'))} · {watts(fleet.get(row, 'power'))}</b> {reasonOf(row)}</p>
      <p class={`health-cell ${health}`}><HealthGlyph health={health} />{HEALTH_WORDS[health]}</p>
      <Age at={fleet.get(row, 'measured')} />
    </div>
  );
}

function Many({ rows }: { rows: number[] }) {
  useChanges();
  const lit = rows.filter((row) => fleet.get(row, 'actual') > 0).length;
  const power = rows.reduce((sum, row) => sum + (fleet.get(row, 'power') || 0), 0);
  return (
    <div class="map-lamp">
      <h2>{plural(rows.length, 'lamp')} chosen</h2>
      <p>{plural(lit, 'lamp')} lit · {watts(power)}</p>
    </div>
  );
}

function Legend() {
  const palette = paletteOf(theme.value);
  const layer = layersOf(palette).find(({ key }) => key === mapLayer.value) ?? layersOf(palette)[0]!;
  return (
    <details class="legend" open={innerWidth > 700}>
      <summary>Legend</summary>
      <ul>
        {layer.legend().map(({ colour: [red, green, blue, alpha], text }) => (
          <li key={text}><i style={{ background: `rgba(${red}, ${green}, ${blue}, ${alpha / 255})` }} />{text}</li>
        ))}
        <li><i class="ring" />ring: override</li>
        {HEALTHS.filter((health) => health !== 'ok' && health !== 'unknown').map((health) => <li key={health}><HealthGlyph health={health} />{HEALTH_WORDS[health].toLowerCase()}</li>)}
      </ul>
    </details>
  );
}

function Hover({ row, x, y }: { row: number; x: number; y: number }) {
  useChanges();
  return (
    <div class="map-hover" style={{ left: `${x + 14}px`, top: `${y + 14}px` }}>
      <b>{fleet.id(row)}</b> <span>{fleet.label(row, 'street')}</span>
      <div>{level(fleet.get(row, 'actual'))} · {watts(fleet.get(row, 'power'))} · {HEALTH_WORDS[healthOf(fleet, row)].toLowerCase()}</div>
    </div>
  );
}

/** A line drawn around lamps, over the map. Escape gives up. */
function Lasso({ onDone }: { onDone: (polygon: Point[] | null) => void }) {
  const [points, set] = useState<Point[]>([]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => event.key === 'Escape' && onDone(null);
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
  const at = (event: PointerEvent): Point => {
    const { left, top } = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  return (
    <svg class="lasso" onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); set([at(event)]); }}
      onPointerMove={(event) => points.length > 0 && set([...points, at(event)])} onPointerUp={() => onDone(points.length > 2 ? points : null)}>
      <path d={points.length > 1 ? `M${points.map((point) => point.join(' ')).join('L')}Z` : ''} />
    </svg>
  );
}

interface Heard {
  choose: (rows: number[]) => void;
  hover: (at: { row: number; x: number; y: number } | null) => void;
  setEmpty: (isEmpty: boolean) => void;
}

/** The map itself, which lives beside the page's own drawing. */
class Control {
  #scene = new Scene();
  #deck: Deck<MapView>;
  #view: ViewState;
  #stop: (() => void)[] = [];
  #box: HTMLElement;
  #dirty = false;
  #isReshaped = false;
  #hovered: number | undefined;
  #isPanning = false;
  /** All of the city is shown, and more of it may still come. */
  #isFitting = lastView === null;
  #slide: Slide;
  #tiles: ((failed: () => void) => Layer) | null = null;
  #isMissed = false;
  /** The whole zoom at which lamps were framed. */
  #framedAt = NaN;

  constructor(box: HTMLElement, heard: Heard) {
    this.#box = box;
    this.#scene.look(theme.peek(), mapLayer.peek());
    this.#scene.reshape();
    heard.setEmpty(this.#scene.lamps === 0);
    this.#view = lastView ?? this.#fitted();
    this.#slide = new Slide(() => box.querySelector('canvas'), () => this.#draw());
    this.#deck = new Deck({
      parent: box as HTMLDivElement,
      views: new MapView({ repeat: false }),
      viewState: this.#view,
      controller: { dragRotate: false, touchRotate: false, keyboard: true, inertia: 200 },
      getCursor: ({ isDragging }) => (isDragging ? 'grabbing' : this.#hovered === undefined ? 'grab' : 'pointer'),
      onViewStateChange: ({ viewState, interactionState }) => {
        this.#isFitting = false;
        this.#pan(viewState as ViewState, interactionState.isPanning ?? false);
      },
      onDragStart: () => this.#slide.begin(),
      onDragEnd: () => void (this.#isPanning = false),
      onAfterRender: () => this.#slide.drawn(this.#isPanning, performance.now()),
      onClick: ({ coordinate, x, y }, event) => {
        if (!coordinate) return;
        if (this.#scene.isFar(this.#view.zoom)) return this.#into(coordinate as Point);
        const row = this.#at(coordinate as Point, x, y);
        const isMore = Boolean((event?.srcEvent as MouseEvent | undefined)?.shiftKey);
        heard.choose(row === undefined ? [] : isMore ? [...new Set([...this.#scene.chosen, row])] : [row]);
      },
      onHover: ({ coordinate, x, y }) => {
        const row = coordinate && !this.#scene.isFar(this.#view.zoom) ? this.#at(coordinate as Point, x, y) : undefined;
        if (row !== this.#hovered) heard.hover(row === undefined ? null : { row, x, y });
        this.#hovered = row;
      },
      layers: [],
    });
    this.#draw();
    this.#follow(heard);
  }

  close(): void {
    for (const stop of this.#stop) stop();
    this.#slide.close();
    this.#deck.finalize();
  }

  look(): void {
    this.#scene.look(theme.peek(), mapLayer.peek());
    this.#draw();
  }

  /** Has these pictures below the lamps. */
  lay(tiles: (failed: () => void) => Layer): void {
    this.#tiles = tiles;
    this.#draw();
  }

  mark(rows: number[]): void {
    this.#scene.chosen = new Set(rows);
    this.#draw();
  }

  fit(): void {
    this.#move(this.#fitted());
  }

  goTo(row: number): void {
    const [longitude, latitude] = [fleet.get(row, 'longitude'), fleet.get(row, 'latitude')];
    this.#isFitting = false;
    if (Number.isFinite(longitude)) this.#move({ longitude, latitude, zoom: 17 });
  }

  /** Lamps within a line on the screen. */
  inside(polygon: Point[]): number[] {
    const viewport = this.#viewport();
    const corners = polygon.map((point) => viewport.unproject(point) as Point);
    return [...this.#scene.where((longitude, latitude) => isInside(corners, longitude, latitude))];
  }

  /** Takes up changes at most a few times a second, the less often the larger the fleet. */
  #follow({ setEmpty }: Heard): void {
    this.#stop.push(fleet.version.subscribe(() => (this.#dirty = true)));
    this.#stop.push(fleet.shape.subscribe(() => (this.#isReshaped = true)));
    let wasEmpty = this.#scene.lamps === 0;
    const look = () => {
      // What changed meanwhile comes with the picture that is drawn when the hand rests or lets go.
      const isMoved = this.#isPanning && this.#slide.moves(this.#view.zoom);
      if (document.hidden || isMoved || !(this.#dirty || this.#isReshaped)) return;
      const isFitted = this.#isReshaped && this.#isFitting;
      if (this.#isReshaped) this.#scene.reshape();
      else this.#scene.recolour();
      this.#dirty = this.#isReshaped = false;
      if (wasEmpty && this.#scene.lamps > 0) {
        wasEmpty = false;
        setEmpty(false);
      }
      if (loaded().done && this.#scene.lamps > 0) this.#isFitting = false;
      if (isFitted && this.#scene.lamps > 0) lastView = this.#view = this.#fitted();
      this.#draw();
    };
    let timer: ReturnType<typeof setTimeout>;
    const again = () => {
      look();
      timer = setTimeout(again, fleet.size > 20_000 ? 2_000 : 300);
    };
    again();
    this.#stop.push(() => clearTimeout(timer));
  }

  /** A step of the hand on the map. */
  #pan(view: ViewState, isPanning: boolean): void {
    this.#isPanning = isPanning;
    if (!isPanning || !this.#slide.moves(view.zoom)) return this.#move(view);
    lastView = this.#view = { longitude: view.longitude, latitude: view.latitude, zoom: view.zoom };
    this.#slide.to([view.longitude, view.latitude]);
  }

  #move({ longitude, latitude, zoom }: ViewState): void {
    const before = this.#view.zoom;
    this.#view = { longitude, latitude, zoom: Math.min(20, Math.max(3, zoom)) };
    lastView = this.#view;
    // Sizes follow the zoom in quarters; a pan needs new layers only where it leaves what was framed.
    if (Math.floor(before * 4) === Math.floor(zoom * 4) && this.#scene.hasFramed(this.#seen(0))) this.#deck.setProps({ viewState: this.#shown() });
    else this.#draw();
  }

  /** What the next picture is drawn for. */
  #shown(): ViewState {
    this.#slide.drawing(this.#viewport());
    return this.#view;
  }

  /** The lamp under a finger: the one whose badge is there, else the nearest. */
  #at(coordinate: Point, x: number, y: number): number | undefined {
    const viewport = this.#viewport();
    const badged = this.#scene.badgeAt([x, y], this.#drawnZoom(), (point) => viewport.project(point) as Point);
    return badged ?? this.#scene.nearest(coordinate, (TOUCH_PX * 360) / (512 * 2 ** this.#view.zoom));
  }

  #into([longitude, latitude]: Point): void {
    this.#move({ longitude, latitude, zoom: this.#view.zoom + 2 });
  }

  #draw(): void {
    if (!this.#scene.hasFramed(this.#seen(0)) || this.#framedAt !== Math.floor(this.#view.zoom)) {
      this.#framedAt = Math.floor(this.#view.zoom);
      this.#scene.frame(this.#seen(ROOM));
    }
    this.#deck.setProps({ viewState: this.#shown(), layers: [...this.#below(), ...this.#scene.layers(this.#drawnZoom())] });
  }

  /** Sizes follow the zoom in quarters. */
  #drawnZoom(): number {
    return Math.floor(this.#view.zoom * 4) / 4;
  }

  #below(): Layer[] {
    return this.#tiles ? [this.#tiles(() => this.#missed())] : [];
  }

  /** Said once: lamps are to be seen without pictures, too. */
  #missed(): void {
    if (!this.#isMissed) tellPeople('Pictures of the map are missing: their server did not send them.', 'warning');
    this.#isMissed = true;
  }

  /** What is in sight, with so many times its size around it. */
  #seen(room: number): Box {
    const [west, south, east, north] = this.#viewport().getBounds();
    const [wide, high] = [(east - west) * room, (north - south) * room];
    return { west: west - wide, south: south - high, east: east + wide, north: north + high };
  }

  #viewport(): WebMercatorViewport {
    return new WebMercatorViewport({ ...this.#view, width: this.#box.clientWidth, height: this.#box.clientHeight });
  }

  #fitted(): ViewState {
    const bounds = this.#scene.bounds();
    if (!bounds) return { longitude: 0, latitude: 0, zoom: 3 };
    const [width, height] = [Math.max(200, this.#box.clientWidth), Math.max(200, this.#box.clientHeight)];
    const { longitude, latitude, zoom } = new WebMercatorViewport({ width, height }).fitBounds(bounds, { padding: 40, maxZoom: 17 });
    return { longitude, latitude, zoom };
  }
}
