// What the map draws: streets, cabinets, lamps, badges, what is chosen; far away, clusters instead.

import type { Layer as DeckLayer } from '@deck.gl/core';
import { IconLayer, PathLayer, PolygonLayer, ScatterplotLayer, TextLayer } from '@deck.gl/layers';
import { fleet } from '../live/connection';
import { type Health, healthOf, isAsked, isLit, isOverridden } from '../fleet/state';
import { type Atlas, BADGES, badgeAtlas } from './badges';
import { type Layer, type Palette, type Rgba, layersOf, paletteOf } from './colours';
import { type Cluster, type Placed, type Point, type Reach, type Street, cabinets, clusters, placed, streets } from './geometry';
import { BADGE_PX, badgeAt, badgeOffset, badgeSizeAt, sizeAt } from './marks';

/** From here on each lamp is drawn, below it clusters; a small town is always drawn. */
const CLUSTERS_BELOW_ZOOM = 13;
const CLUSTERS_ABOVE_LAMPS = 3_000;
/** More lamps than this in sight are clusters, however near one is. */
const NEAR_LAMPS_MAX = 6_000;
const NAMES_FROM_ZOOM = 14.5;

/** A part of the map, in degrees. */
export interface Box {
  west: number;
  south: number;
  east: number;
  north: number;
}

export class Scene {
  #placed: Placed = { rows: new Uint32Array(), positions: new Float64Array() };
  /** Those of them in and around what is in sight: a pan draws a part of the city, not all of it. */
  #near: Placed = this.#placed;
  #box: Box | null = null;
  #streets: Street[] = [];
  #cabinets: Reach[] = [];
  #clusters: Cluster[] = [];
  #clusteredAt = NaN;
  #colours = new Uint8Array();
  #rings = new Uint8Array();
  #radii = new Float32Array();
  #badged: { row: number; position: Point; health: Health }[] = [];
  #palette: Palette = paletteOf('dark');
  #layer: Layer = layersOf(this.#palette)[0]!;
  #atlas: Atlas | null = null;
  chosen = new Set<number>();

  get lamps(): number {
    return this.#placed.rows.length;
  }

  /**
   * The lamp nearest to a place, not farther than so many degrees of latitude. Looked for here and not on the
   * graphics card: a pass over 100,000 pairs of numbers takes a fraction of a millisecond, a picture for it many.
   */
  nearest([longitude, latitude]: Point, reach: number): number | undefined {
    const { rows, positions } = this.#placed;
    const stretch = Math.cos((latitude * Math.PI) / 180);
    let [found, least] = [-1, reach * reach];
    for (let index = 0; index < rows.length; index += 1) {
      const east = (positions[index * 2]! - longitude) * stretch;
      const north = positions[index * 2 + 1]! - latitude;
      const square = east * east + north * north;
      if (square < least) [found, least] = [index, square];
    }
    return found < 0 ? undefined : rows[found];
  }

  /** The lamp whose badge is drawn at these pixels, which `project` gives of a place. */
  badgeAt(pixels: Point, zoom: number, project: (place: Point) => Point): number | undefined {
    return badgeAt(this.#badged, pixels, zoom, project);
  }

  /** Lamps came, went or moved. */
  reshape(): void {
    this.#placed = placed(fleet);
    this.#streets = streets(fleet, this.#placed.rows);
    this.#cabinets = cabinets(fleet, this.#placed.rows);
    this.#clusteredAt = NaN;
    this.#frame();
    this.recolour();
  }

  /** What is in sight, with room around it. */
  frame(box: Box): void {
    this.#box = box;
    this.#frame();
    this.recolour();
  }

  /** Whether all of a part of the map is within what was framed. */
  hasFramed(view: Box): boolean {
    const box = this.#box;
    return box !== null && view.west >= box.west && view.east <= box.east && view.south >= box.south && view.north <= box.north;
  }

  #frame(): void {
    const { rows, positions } = this.#placed;
    if (!this.#box || rows.length <= NEAR_LAMPS_MAX) {
      this.#near = this.#placed;
      return;
    }
    const inside: number[] = [];
    for (let index = 0; index < rows.length; index += 1) if (this.#isInside(positions[index * 2]!, positions[index * 2 + 1]!)) inside.push(index);
    const near = { rows: new Uint32Array(inside.length), positions: new Float64Array(inside.length * 2) };
    inside.forEach((index, at) => {
      near.rows[at] = rows[index]!;
      near.positions.set(positions.subarray(index * 2, index * 2 + 2), at * 2);
    });
    this.#near = near;
  }

  #isInside(longitude: number, latitude: number): boolean {
    const box = this.#box;
    return box === null || (longitude >= box.west && longitude <= box.east && latitude >= box.south && latitude <= box.north);
  }

  look(theme: string, layer: string): void {
    this.#palette = paletteOf(theme);
    this.#atlas = badgeAtlas(this.#palette, theme === 'light' ? '#ffffff' : '#0b0e13');
    const layers = layersOf(this.#palette);
    this.#layer = layers.find(({ key }) => key === layer) ?? layers[0]!;
    this.recolour();
  }

  legend(): { colour: Rgba; text: string }[] {
    return this.#layer.legend();
  }

  /** Values changed. */
  recolour(): void {
    const { rows, positions } = this.#near;
    // New arrays, since the graphics card is told of a change by another object.
    this.#colours = new Uint8Array(rows.length * 4);
    this.#rings = new Uint8Array(rows.length * 4);
    this.#radii = new Float32Array(rows.length);
    this.#badged = [];
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows[index]!;
      this.#colours.set(this.#layer.colour(row), index * 4);
      if (isOverridden(fleet, row)) this.#rings.set(this.#palette.override, index * 4);
      else if (isAsked(fleet, row)) this.#rings.set(this.#palette.text, index * 4);
      this.#radii[index] = isLit(fleet, row) ? 6 : 4.5;
      const health = healthOf(fleet, row);
      if (BADGES.includes(health)) this.#badged.push({ row, health, position: [positions[index * 2]!, positions[index * 2 + 1]!] });
    }
    this.#clusteredAt = NaN;
  }

  /** The corners of the city: south-west, north-east; null if no lamp has a place. */
  bounds(): [Point, Point] | null {
    const { positions } = this.#placed;
    if (positions.length === 0) return null;
    const low: Point = [Infinity, Infinity];
    const high: Point = [-Infinity, -Infinity];
    for (let at = 0; at < positions.length; at += 1) {
      const axis = at % 2;
      low[axis] = Math.min(low[axis]!, positions[at]!);
      high[axis] = Math.max(high[axis]!, positions[at]!);
    }
    return [low, high];
  }

  /** Lamps of which the place fulfils something. */
  *where(test: (longitude: number, latitude: number) => boolean): Generator<number> {
    const { rows, positions } = this.#placed;
    for (let index = 0; index < rows.length; index += 1) {
      if (test(positions[index * 2]!, positions[index * 2 + 1]!)) yield rows[index]!;
    }
  }

  isFar(zoom: number): boolean {
    if (this.lamps <= CLUSTERS_ABOVE_LAMPS) return false;
    return zoom < CLUSTERS_BELOW_ZOOM || this.#near.rows.length > NEAR_LAMPS_MAX;
  }

  layers(zoom: number): DeckLayer[] {
    return this.isFar(zoom) ? this.#far(zoom) : this.#close(zoom);
  }

  #far(zoom: number): DeckLayer[] {
    const level = Math.floor(zoom);
    if (this.#clusteredAt !== level) {
      this.#clusters = clusters(fleet, this.#placed, level);
      this.#clusteredAt = level;
    }
    const { lit, unlit, health, text } = this.#palette;
    const radius = (cluster: Cluster) => 9 + 4 * Math.log10(cluster.lamps);
    return [
      new ScatterplotLayer<Cluster>({
        id: 'clusters', data: this.#clusters, radiusUnits: 'pixels', lineWidthUnits: 'pixels', stroked: true,
        getPosition: ({ position }) => position, getRadius: radius,
        getFillColor: (cluster) => (cluster.lit > 0 ? [...lit, 70 + 130 * (cluster.lit / cluster.lamps)] as Rgba : unlit),
        getLineColor: (cluster) => (cluster.troubled > 0 ? health.dark : [0, 0, 0, 0]),
        // The ring's width is the share of lamps in trouble.
        getLineWidth: (cluster) => (cluster.troubled > 0 ? 1.5 + Math.min(6, 40 * (cluster.troubled / cluster.lamps)) : 0),
      }),
      new TextLayer<Cluster>({
        id: 'cluster-counts', data: this.#clusters, getPosition: ({ position }) => position, getSize: 11, fontFamily: 'Inter Variable, sans-serif', fontWeight: 600,
        getText: ({ lamps }) => (lamps >= 1000 ? `${Math.round(lamps / 100) / 10}k` : String(lamps)), getColor: text, outlineWidth: 0,
      }),
    ];
  }

  #close(zoom: number): DeckLayer[] {
    const { rows, positions } = this.#near;
    const isNear = (points: Point[]) => points.some(([longitude, latitude]) => this.#isInside(longitude, latitude));
    const data = {
      length: rows.length,
      attributes: {
        getPosition: { value: positions, size: 2 }, getFillColor: { value: this.#colours, size: 4, normalized: true },
        getLineColor: { value: this.#rings, size: 4, normalized: true }, getRadius: { value: this.#radii, size: 1 },
      },
    };
    const size = sizeAt(zoom);
    return [
      this.#roads(this.#streets.filter(({ path }) => isNear(path))),
      new PolygonLayer<Reach>({
        id: 'cabinets', data: this.#cabinets.filter(({ hull }) => isNear(hull)), getPolygon: ({ hull }) => hull, filled: false, getLineColor: this.#palette.cabinet, getLineWidth: 1, lineWidthUnits: 'pixels', visible: zoom > 12.5,
      }),
      new ScatterplotLayer({
        id: 'pools', data: { ...data, attributes: { getPosition: data.attributes.getPosition, getFillColor: data.attributes.getFillColor, getRadius: data.attributes.getRadius } },
        getRadius: 1, radiusScale: 2.4, radiusMaxPixels: 60, opacity: 0.02, visible: this.#layer.key === 'light' && rows.length < 20_000 && zoom > 13.5,
      }),
      new ScatterplotLayer({
        id: 'lamps', data, radiusUnits: 'pixels', radiusScale: size, radiusMinPixels: 1.4, stroked: zoom > 13, lineWidthUnits: 'pixels', getLineWidth: 2,
      }),
      ...this.#marks(zoom),
      ...(zoom >= NAMES_FROM_ZOOM ? this.#names(isNear) : []),
    ];
  }

  #roads(data: Street[]): DeckLayer {
    return new PathLayer<Street>({
      id: 'roads', data, getPath: ({ path }) => path, getColor: this.#palette.road, getWidth: 14, widthMinPixels: 1.5, widthMaxPixels: 26, capRounded: true, jointRounded: true,
    });
  }

  #marks(zoom: number): DeckLayer[] {
    const chosen = [...this.chosen].map((row) => [fleet.get(row, 'longitude'), fleet.get(row, 'latitude')] as Point);
    return [
      new ScatterplotLayer<Point>({
        id: 'chosen', data: chosen, getPosition: (point) => point, getRadius: 9, radiusUnits: 'pixels', radiusScale: Math.max(0.6, sizeAt(zoom)), filled: false, stroked: true,
        getLineColor: this.#palette.chosen, lineWidthUnits: 'pixels', getLineWidth: 2,
      }),
      new IconLayer({
        id: 'badges', data: this.#badged, getPosition: ({ position }) => position, getIcon: ({ health }) => health, getSize: BADGE_PX, sizeUnits: 'pixels', sizeScale: badgeSizeAt(zoom),
        iconAtlas: this.#atlas!.image as unknown as string, iconMapping: this.#atlas!.mapping, getPixelOffset: badgeOffset(zoom),
      }),
    ];
  }

  #names(isNear: (points: Point[]) => boolean): DeckLayer[] {
    const common = { fontFamily: 'Inter Variable, sans-serif', characterSet: 'auto' as const, outlineWidth: 0 };
    return [
      new TextLayer<Street>({
        ...common, id: 'street-names', data: this.#streets.filter(({ middle }) => isNear([middle])), getText: ({ name }) => name, getPosition: ({ middle }) => middle, getAngle: ({ angle }) => angle, getSize: 12, getColor: this.#palette.roadName,
        getPixelOffset: [0, 16],
      }),
      new TextLayer<Reach>({
        ...common, id: 'cabinet-names', data: this.#cabinets.filter(({ hull }) => isNear(hull)), getText: ({ name }) => name, getPosition: ({ hull }) => hull[0]!, getSize: 11, getColor: this.#palette.override, getPixelOffset: [0, -12],
      }),
    ];
  }
}
