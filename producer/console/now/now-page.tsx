import { DataScript, type Document } from '../document.tsx';
import type { Visitor } from '../navigation.tsx';
import { Form } from '../parts.tsx';
import { LiveNow, nowTitle } from './live-now.tsx';
import type { NowState } from './now-state.ts';

/** nowPage makes the page that says how the instance stands now. */
export function nowPage(state: NowState, visitor: Visitor): Document {
  return {
    title: nowTitle(state),
    visitor,
    current: '/',
    scripts: ['producer/console/browser/now-page.js'],
    reloadS: 5,
    main: (
      <>
        <div class="head">
          <h1>Now</h1>
          <Form class="filters" method="get" to="/console/jobs" aria-label="Find jobs">
            <input
              type="search"
              name="q"
              maxLength={100}
              aria-label="Find jobs by their question"
              placeholder="Find a question"
            />
            <button type="submit">Find</button>
          </Form>
        </div>
        <div id="live">
          <LiveNow state={state} />
        </div>
        <DataScript id="state" data={state} />
      </>
    ),
  };
}
