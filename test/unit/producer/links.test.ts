import { expectNone, files } from '../../support/source-files.ts';

/** An address in an attribute that begins at the top of the host, or is made from something. */
const LINK = /<a\s[^>]*\bhref=(?:"\/|\{)|<form\s[^>]*\baction=/g;

test('pages of the console lead to this instance with Link and Form only', () => {
  const pages = files.filter(
    ({ path }) => path.startsWith('producer/console/') && !path.endsWith('/parts.tsx'),
  );
  expect(pages.length).toBeGreaterThan(20);
  expectNone(
    pages.flatMap(({ path, text }) => [...text.matchAll(LINK)].map(([found]) => `${path}: ${found}`)),
    'Behind a proxy the instance may have a path of its own (http.basePath), which <a> and <form> do not know: ' +
      'use Link and Form of producer/console/parts.tsx',
  );
});

test('answers lead to this instance with addressOf and redirectTo only', () => {
  const others = files.filter(
    ({ path }) => path.startsWith('producer/') && !path.endsWith('producer/http/links.ts'),
  );
  expectNone(
    others.filter(({ text }) => /\.redirect\((?!addressOf\()/.test(text)).map(({ path }) => path),
    'A redirect needs the path of the instance before it (http.basePath): use redirectTo of producer/http/links.ts',
  );
});
