import MarkdownIt from 'markdown-it';

/**
 * The most characters that are read as Markdown. A longer text is shown as it is: a reader of Markdown may
 * take a time that grows faster than its text.
 */
const LONGEST = 200_000;
const SAFE_LINK = /^(https?:|mailto:)/i;

/**
 * markdownFrom turns the words of a model into HTML. The words come from outside: HTML in them is shown as
 * text, images are not loaded, and only links to http, https and mail addresses become links.
 *
 * @returns undefined for a text that is too long to be read as Markdown.
 */
export function markdownFrom(text: string): string | undefined {
  return text.length > LONGEST ? undefined : reader().render(text);
}

function reader() {
  const markdown = new MarkdownIt({ html: false, linkify: false, typographer: false }).disable('image');
  markdown.validateLink = (url) => SAFE_LINK.test(url.trim());
  markdown.renderer.rules['link_open'] = (tokens, index, options, _environment, self) => {
    tokens[index]?.attrSet('rel', 'noopener noreferrer nofollow');
    return self.renderToken(tokens, index, options);
  };
  return markdown;
}
