// Values over time, by uPlot: level as steps against the plan, power as an area.

import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from '../settings';
import { clock } from '../format';

export interface Line {
  label: string;
  /** A token of tokens.css. */
  colour: string;
  scale: '%' | 'W' | 'n';
  kind?: 'step' | 'area' | 'line' | 'plan';
  values: (number | null | undefined)[];
  unit: string;
  digits?: number;
}

interface Props {
  /** ms since 1970, ascending. */
  times: number[];
  lines: Line[];
  height: number;
  from?: number;
  to?: number;
  /** For those who can't see it. */
  label: string;
  /** What the axis shows for a moment; the city's clock if not said. */
  timeText?: (ms: number) => string;
}

export function Chart({ times, lines, height, from, to, label, timeText = clock }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = lines.map(({ label: name, kind, scale }) => `${name}${kind}${scale}`).join() + theme.value + height;
  useEffect(() => {
    const element = box.current!;
    plot.current = new uPlot(options(element, lines, height, timeText), data(times, lines), element);
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      plot.current?.destroy();
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData(data(times, lines), false);
    const first = from ?? times[0] ?? 0;
    plot.current?.setScale('x', { min: first / 1000, max: (to ?? times.at(-1) ?? first + 60_000) / 1000 });
  }, [times, lines, from, to]);
  return <div class="chart" ref={box} role="img" aria-label={label} />;
}

function data(times: number[], lines: Line[]): uPlot.AlignedData {
  return [times.map((ms) => ms / 1000), ...lines.map(({ values }) => values)] as uPlot.AlignedData;
}

function options(element: HTMLElement, lines: Line[], height: number, timeText: (ms: number) => string): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const font = `11px ${style.getPropertyValue('--font')}`;
  const axis = { stroke: token('muted'), font, grid: { stroke: token('line'), width: 1 }, ticks: { show: false } };
  const scales = [...new Set(lines.map(({ scale }) => scale))];
  return {
    width: Math.max(200, element.clientWidth),
    height,
    padding: [10, 12, 0, 0],
    legend: { show: true, live: true },
    cursor: { points: { size: 6 }, y: false },
    scales: {
      x: { time: true },
      '%': { range: [0, 105] },
      W: { range: (_u, _min, max) => [0, Math.max(1, max * 1.15)] },
      n: { range: (_u, _min, max) => [0, Math.max(4, max * 1.15)] },
    },
    series: [
      { label: 'Time', value: (_u, seconds) => (seconds === null ? '–' : timeText(seconds * 1000)) },
      ...lines.map((line) => series(line, token)),
    ],
    axes: [
      { ...axis, size: 28, values: (_u, ticks) => ticks.map((seconds) => timeText(seconds * 1000)) },
      ...scales.map((scale, index) => ({
        ...axis, scale, side: index === 0 ? 3 : 1, size: 52, grid: index === 0 ? axis.grid : { show: false },
        values: (_u: uPlot, ticks: number[]) => ticks.map((tick) => axisText(tick, scale)),
      })),
    ],
  };
}

function series(line: Line, token: (name: string) => string): uPlot.Series {
  const colour = token(line.colour);
  const { kind = 'line', scale, unit, digits = 0 } = line;
  const stepped = uPlot.paths.stepped!({ align: 1 });
  return {
    label: line.label,
    scale,
    stroke: colour,
    width: kind === 'plan' ? 1.5 : 2,
    points: { show: false },
    spanGaps: false,
    value: (_u, value) => (value === null || value === undefined ? '–' : `${value.toFixed(digits)} ${unit}`),
    ...(kind === 'plan' ? { dash: [4, 4] } : {}),
    ...(kind === 'step' || kind === 'plan' ? { paths: stepped } : {}),
    ...(kind === 'area' ? { fill: `${colour}26` } : {}),
  };
}

function axisText(tick: number, scale: string): string {
  if (scale === '%') return tick > 100 ? '' : `${tick} %`;
  if (scale === 'n') return String(tick);
  return tick >= 1000 ? `${tick / 1000} kW` : `${tick} W`;
}
export default Chart;
