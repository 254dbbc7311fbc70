import { describeInChromium } from '../support/chromium.ts';

describeInChromium('board', (windows) => {
  it('opens', async () => {
    const page = await windows.open();
    await page.goto('data:text/html,<h1>hi</h1>');
    expect(await page.textContent('h1')).toBe('hi');
  });
});
