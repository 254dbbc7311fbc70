import { describeWithPromtool } from '../../support/process/promtool.ts';

const CONFIGURATION = 'deploy/prometheus/prometheus.yml';

describeWithPromtool('the files of deploy/prometheus', (promtool) => {
  it('have a configuration that Prometheus accepts', () => {
    const { status, stderr } = promtool(['check', 'config', '--syntax-only', CONFIGURATION]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});
