import { markdownFrom } from '../../../producer/console/markdown.ts';

test('Markdown becomes HTML', () => {
  expect(markdownFrom('# Light\n\n- **fast**\n- `c`\n\n| a | b |\n|---|---|\n| 1 | 2 |')).toBe(
    '<h1>Light</h1>\n<ul>\n<li><strong>fast</strong></li>\n<li><code>c</code></li>\n</ul>\n<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n<td>2</td>\n</tr>\n</tbody>\n</table>\n',
  );
});

test.each([
  ['<script>alert(1)</script>', /<script/i],
  ['<img src=x onerror=alert(1)>', /<img/i],
  ['<a href="javascript:alert(1)">x</a>', /<a /i],
  ['[x](javascript:alert(1))', /<a /i],
  ['[x](JaVaScRiPt:alert(1))', /<a /i],
  ['[x](&#106;avascript:alert(1))', /<a /i],
  ['[x](java\tscript:alert(1))', /<a /i],
  ['[x](vbscript:msgbox)', /<a /i],
  ['[x](data:text/html;base64,PHNjcmlwdD4=)', /<a /i],
  ['[x](/jobs/other/cancel)', /<a /i],
  ['[x](//evil.example)', /<a /i],
  ['![x](https://evil.example/pixel.png)', /<img/i],
  ['![x][ref]\n\n[ref]: https://evil.example/pixel.png', /<img/i],
  ['<https://evil.example/"onmouseover="alert(1)>', /"onmouseover/i],
  ['[x](https://evil.example "\\" onmouseover=alert(1) ")', /" onmouseover/i],
  ['```html\n<script>alert(1)</script>\n```', /<script/i],
  ['```"><script>alert(1)</script>\nx\n```', /<script/i],
])('%s brings no HTML of its own, no script and no image', (text, harmful) => {
  expect(markdownFrom(text)).not.toMatch(harmful);
});

test('a link to another site tells that site nothing, and opens no way back', () => {
  expect(markdownFrom('[x](https://example.com/a)')).toBe(
    '<p><a href="https://example.com/a" rel="noopener noreferrer nofollow">x</a></p>\n',
  );
});

test('a very long text is not read as Markdown', () => {
  expect(markdownFrom('*'.repeat(200_001))).toBeUndefined();
});
