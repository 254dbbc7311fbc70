import { isOwnHost, provenanceOf } from '../../../producer/access/same-site.ts';
import { ownPath } from '../../../producer/pages/login-page.ts';

const host = 'o3.example.com:3000';

describe('where a request comes from', () => {
  it.each([
    ['a program', {}, 'unknown'],
    ['an address typed by a person', { 'sec-fetch-site': 'none' }, 'unknown'],
    ['our own page', { 'sec-fetch-site': 'same-origin' }, 'same-origin'],
    [
      'our own page, behind a proxy that renames the host',
      { 'sec-fetch-site': 'same-origin', origin: 'https://o3.example.com' },
      'same-origin',
    ],
    ['another port of this host', { 'sec-fetch-site': 'same-site' }, 'foreign'],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 'foreign'],
    [
      'another site that claims our origin',
      { 'sec-fetch-site': 'cross-site', origin: `http://${host}` },
      'foreign',
    ],
    ['our own page, over plain HTTP', { origin: `http://${host}` }, 'same-origin'],
    ['our own page, in capitals', { host: host.toUpperCase(), origin: `http://${host}` }, 'same-origin'],
    ['our own page, before which TLS ends', { origin: `https://${host}` }, 'same-origin'],
    ['another host', { origin: 'http://evil.example.com:3000' }, 'foreign'],
    ['another port', { origin: 'http://o3.example.com:3001' }, 'foreign'],
    ['a host that begins like ours', { origin: `http://${host}.evil.example` }, 'foreign'],
    ['a page that hides its origin', { origin: 'null' }, 'foreign'],
    ['a page that hides its origin from HTTP/1.0', { host: undefined, origin: 'null' }, 'foreign'],
    ['an extension', { origin: 'chrome-extension://abcdef' }, 'foreign'],
    ['nonsense', { origin: '::' }, 'foreign'],
  ])('%s', (_what, headers, expected) => {
    expect(provenanceOf({ host, ...headers })).toBe(expected);
  });
});

describe('a Host header that another site cannot have pointed here', () => {
  it.each([
    'localhost',
    'localhost:3000',
    'LOCALHOST:3000',
    '127.0.0.1',
    '127.0.0.1:80',
    '[::1]',
    '[::1]:3000',
    '10.0.0.5:3000',
  ])('may be %s', (value) => expect(isOwnHost(value)).toBe(true));
  it.each([
    '',
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    '127.0.0.1.evil.example:3000',
    'localhost:3000:80',
    'localhost@evil.example',
    '[evil]',
  ])('may not be %j', (value) => expect(isOwnHost(value)).toBe(false));
});

describe('the path after the login page', () => {
  it.each([
    ['/', '/'],
    ['/board', '/board'],
    ['/board/queue/o3?status=failed&page=2#top', '/board/queue/o3?status=failed&page=2#top'],
    ['/jobs/../board', '/board'],
    ['/a?next=https://evil.example', '/a?next=https://evil.example'],
  ])('%s leads to %s', (next, path) => expect(ownPath(next)).toBe(path));

  it.each([
    'https://evil.example',
    'https:evil.example',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    '\t//evil.example',
    '/.//evil.example',
    '/x/..//evil.example',
    '/%2e//evil.example',
    'javascript:alert(1)',
    'board',
    ' /board',
    '',
    `/${'x'.repeat(2000)}`,
    '//[',
    undefined,
    ['/board', '/jobs'],
    { toString: () => '/board' },
  ])('%j leads to /', (next) => expect(ownPath(next)).toBe('/'));
});
