import { createHash } from 'node:crypto';

const STYLE = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
  main { width: min(22rem, calc(100vw - 3rem)); }
  .product { margin: 0; color: light-dark(#59616e, #a0a8b5); }
  h1 { font-size: 1.25rem; margin: 0 0 1rem; }
  label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
  input, button { margin-top: 0.5rem; padding: 0.5rem 0.75rem; border: 1px solid #8888; border-radius: 0.375rem; }
  button { background: #2563eb; color: #fff; border-color: #2563eb; cursor: pointer; }
  .refused { color: light-dark(#b3261e, #ff9d94); }
`;

export interface Page {
  headers: Record<string, string>;
  html: string;
}

/**
 * createPage makes a small page without scripts or foreign content.
 *
 * @param main HTML; text from outside must be `escaped`.
 */
export function createPage(title: string, main: string): Page {
  return {
    headers: { 'content-security-policy': policy(), 'cache-control': 'no-store' },
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)} · o3-queue</title>
<style>${STYLE}</style>
</head>
<body><main>
<p class="product">o3-queue</p>
<h1>${escaped(title)}</h1>
${main}
</main></body>
</html>
`,
  };
}

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

function policy(): string {
  const style = createHash('sha256').update(STYLE).digest('base64');
  return [
    "default-src 'none'",
    `style-src 'sha256-${style}'`,
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
