// Finds a lamp or a street by what one types; `/` goes there from anywhere.

import { useEffect, useRef, useState } from 'preact/hooks';
import { fleet } from '../live/connection';
import { go, linkTo } from '../router';
import { Icon } from './icon';

const SHOWN_MAX = 8;

interface Found {
  text: string;
  detail: string;
  to: string;
}

export function Find() {
  const [text, setText] = useState('');
  const [chosen, choose] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.key !== '/' || at.matches('input, textarea, select')) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
  const found = text.length > 0 ? find(text.toLowerCase()) : [];
  const open = (one: Found | undefined) => {
    if (!one) return;
    setText('');
    input.current?.blur();
    go(one.to);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === 'Enter') open(found[chosen]);
    else if (event.key === 'Escape') setText('');
    else if (event.key === 'ArrowDown') choose(Math.min(found.length - 1, chosen + 1));
    else if (event.key === 'ArrowUp') choose(Math.max(0, chosen - 1));
    else return;
    event.preventDefault();
  };
  return (
    <div class="find" role="search">
      <Icon name="search" />
      <input ref={input} type="text" role="combobox" aria-label="Find a lamp, street or cabinet" aria-expanded={found.length > 0} aria-controls="found"
        aria-activedescendant={found.length > 0 ? `found-${chosen}` : undefined} autocomplete="off" placeholder="Find a lamp or street" value={text}
        onInput={(event) => { setText(event.currentTarget.value); choose(0); }} onKeyDown={press} onBlur={() => setTimeout(() => setText(''), 200)} />
      <kbd aria-hidden="true">/</kbd>
      <ul id="found" role="listbox" aria-label="Found" hidden={found.length === 0}>
        {found.map((one, index) => (
          <li key={one.to} id={`found-${index}`} role="option" aria-selected={index === chosen}
            onMouseDown={(event) => { event.preventDefault(); open(one); }}>
            <b>{one.text}</b><span>{one.detail}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function find(text: string): Found[] {
  const found: Found[] = [];
  for (const name of ['street', 'cabinet', 'feeder']) {
    for (const word of fleet.words(`label.${name}`)) {
      if (found.length >= SHOWN_MAX / 2) break;
      if (word.toLowerCase().includes(text)) found.push({ text: word, detail: name, to: `${linkTo('lamps')}?q=${encodeURIComponent(word)}` });
    }
  }
  for (const row of fleet.each()) {
    if (found.length >= SHOWN_MAX) break;
    const id = fleet.id(row);
    if (id.includes(text)) found.push({ text: id, detail: fleet.label(row, 'street'), to: linkTo('lamp', id) });
  }
  return found;
}
