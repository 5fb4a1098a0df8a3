// A lamp in one sign: light as a disc whose fill is its level, health as a badge with a shape of its own.

import type { Health, Light } from '../fleet/state';

interface Lit {
  light: Light;
  level: number;
  health: Health;
  isOverridden?: boolean;
  isAsked?: boolean;
}

export function LampGlyph({ light, level, health, isOverridden = false, isAsked = false }: Lit) {
  const share = light === 'on' || light === 'fading' ? 0.3 + 0.7 * Math.min(1, Math.max(0, level / 100)) : 0;
  const isBroken = health !== 'ok' && health !== 'unknown';
  return (
    <svg class="lamp-glyph" viewBox="0 0 24 24" aria-hidden="true">
      {isOverridden && <circle class="ring" cx="12" cy="12" r="10" />}
      {isAsked && <circle class="ring asked" cx="12" cy="12" r="10" />}
      {share > 0 ? <circle class="lit" cx="12" cy="12" r="6.500" fill-opacity={share} /> : <circle class="unlit" cx="12" cy="12" r="4.500" />}
      {light === 'standby' && <circle class="core" cx="12" cy="12" r="1.600" />}
      {isBroken && <g transform="translate(12.500 11.500) scale(.5)"><HealthShape health={health} /></g>}
    </svg>
  );
}

/** The badge alone, for legends and lists. */
export function HealthGlyph({ health }: { health: Health }) {
  return <svg class="health-glyph" viewBox="0 0 24 24" aria-hidden="true"><HealthShape health={health} /></svg>;
}

function HealthShape({ health }: { health: Health }) {
  switch (health) {
    case 'safety': return <path class="h-safety" d="M7 2.500h10L22 12l-5 9.500H7L2 12z" />;
    case 'dark': return <path class="h-dark" d="M12 2.500 22.500 21h-21z" />;
    case 'silent': return <path class="h-silent" d="M5 5l14 14M19 5 5 19" />;
    case 'dayburner': return <path class="h-dayburner" d="m12 1.500 3 7.300 7.500.6-5.700 5 1.700 7.600L12 17.800 5.500 22l1.700-7.600-5.700-5 7.500-.6z" />;
    case 'warning': return <path class="h-warning" d="M12 2 22 12 12 22 2 12z" />;
    case 'unknown': return <circle class="h-unknown" cx="12" cy="12" r="8" />;
    case 'ok': return <path class="h-ok" d="M4 12.500 9.500 18 20 6.500" />;
  }
}

/** How bad, as a word with its shape. */
const SEVERITY_WORDS = ['', 'Info', 'Warning', 'Minor', 'Major', 'Critical'];

export function Severity({ level }: { level: number }) {
  return <span class={`severity s${level}`}>{SEVERITY_WORDS[level] ?? 'Unknown'}</span>;
}
