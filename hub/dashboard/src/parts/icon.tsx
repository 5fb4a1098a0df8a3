// Icons of the frame, as lines. Those of lamps are in glyph.tsx: they mean something.

const PATHS = {
  moon: 'M20 14.500A8 8 0 0 1 9.500 4a8 8 0 1 0 10.500 10.500z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400',
  map: 'M9 4.500 3.500 7v12.500L9 17l6 2.500 5.500-2.500V4.500L15 7 9 4.500zM9 4.500V17M15 7v12.500',
  lamp: 'M12 21V9M9 21h6M7.500 9a4.500 4.500 0 0 1 9 0zM12 4.500V3',
  fault: 'M12 4 2.800 19.500h18.400L12 4zM12 10v4.500M12 17.200v.1',
  send: 'M4 12 20 4.500 15.500 20l-3.800-6.200L4 12zM11.700 13.800 20 4.500',
  link: 'M5 17.500a10 10 0 0 1 14 0M8 14a6 6 0 0 1 8 0M12 18.500v.1M2.500 13a14 14 0 0 1 19 0',
  exit: 'M14 4.500H5.500v15H14M10 12h10.500M17 8.500l3.500 3.500-3.500 3.500',
  lock: 'M6.500 11h11v8.500h-11zM8.500 11V8a3.500 3.500 0 0 1 7 0v3',
  search: 'M10.500 4.500a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15 15l5 5',
  close: 'M6 6l12 12M18 6 6 18',
  down: 'M6.500 9.500 12 15l5.500-5.500',
  lasso: 'M5 10c0-3 3.100-5 7-5s7 2 7 5-3.100 5-7 5c-2 0-4-.6-5.300-1.600M7 13.500c-1.500 0-2.500 1-2.500 2.200S5.500 18 7 18s2.200 1 1.800 2.500',
  columns: 'M4.500 5h15v14h-15zM9.500 5v14M14.500 5v14',
  export: 'M12 15V4.500M8 8.500l4-4 4 4M5 14.500v5h14v-5',
  check: 'M5 12.500 10 17.500 19.500 7',
  star: 'M12 4l2.400 5 5.600.7-4.100 3.800 1 5.500-4.900-2.700L7.100 19l1-5.500L4 9.700 9.600 9z',
  back: 'M14.500 6 8.500 12l6 6',
  fit: 'M4.500 9V4.500H9M15 4.500h4.500V9M19.500 15v4.500H15M9 19.500H4.500V15',
  brand: '',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  if (name === 'brand') {
    return (
      <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
        <circle cx="12" cy="10" r="8" class="glow" /><circle cx="12" cy="10" r="4.6" class="flame" />
        <path d="M8.500 20.500h7" class="base" />
      </svg>
    );
  }
  return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d={PATHS[name]} /></svg>;
}
