// Names of channels, patterns, and which devices a selector means.

/** Whether a pattern (`*`: one segment, a last `>`: the rest) stands for a channel. */
export function matches(pattern, channel) {
  const wanted = pattern.split('.');
  const given = channel.split('.');
  for (let at = 0; at < wanted.length; at += 1) {
    if (wanted[at] === '>') return given.length > at;
    if (at >= given.length || (wanted[at] !== '*' && wanted[at] !== given[at])) return false;
  }
  return wanted.length === given.length;
}

/** The device that a channel belongs to, or null. */
export function deviceOf(channel) {
  const [first, device, ...rest] = channel.split('.');
  return first === 'devices' && rest.length > 0 ? device : null;
}

/** The pattern of the registrations of all devices that a pattern is about, or null. */
export function registrationOf(pattern) {
  const [first, device] = pattern.split('.');
  if (first === '>' || (first === 'devices' && device === '>')) return 'devices.*.registration';
  return first === 'devices' && device ? `devices.${device}.registration` : null;
}

/**
 * A function of `{id, profile, labels}` for a selector: `street='Queen St',feeder=F12`.
 * All conditions must hold; a key is a label, `id` or `profile`.
 */
export function selector(text) {
  const conditions = [];
  let rest = text.trim();
  while (rest !== '') {
    const found = /^([^=,]+)=\s*(?:'([^']*)'|"([^"]*)"|((?!['"])[^,]*))\s*(?:,|$)/.exec(rest);
    if (!found) throw new TypeError(`not a selector: ${text}; write key=value,key='other value'`);
    const [all, key, single, double, bare] = found;
    conditions.push([key.trim(), single ?? double ?? bare.trim()]);
    rest = rest.slice(all.length).trim();
  }
  return (device) =>
    conditions.every(([key, value]) =>
      key === 'id' || key === 'profile' ? device[key] === value : device.labels?.[key] === value,
    );
}

/** Whether there may be a channel that both patterns stand for. */
export function overlap(one, other) {
  const [a, b] = [one.split('.'), other.split('.')];
  for (let at = 0; at < a.length && at < b.length; at += 1) {
    if (a[at] === '>' || b[at] === '>') return true;
    if (a[at] !== b[at] && a[at] !== '*' && b[at] !== '*') return false;
  }
  return a.length === b.length;
}
