// Where the page begins.

import '@fontsource-variable/inter/wght.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/views.css';

import { render } from 'preact';
import { App } from './app';
import './settings';

render(<App />, document.getElementById('app')!);
