import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { getScaling } from '../../../producer/openapi/operations/models.ts';
import { VARIABLES } from '../../../src/config/environment.ts';
import { fileSchema } from '../../../src/config/schema.ts';
import { isSecretFile } from '../../../src/config/secret-files.ts';
import { RUNNABLE_LIMITS } from '../../../src/models/runnable.ts';
import { cacheFolder, errorsOfLiterals, type Literal } from '../../support/typed-literals.ts';
import {
  deploymentOf,
  documentsIn,
  FILES,
  FOLDER,
  type Kind,
  KUSTOMIZATIONS,
  labels,
  MANIFESTS,
  type Manifest,
  MODELS,
  named,
  PROCESSES,
  ROOT,
  secret,
  TYPED,
} from './kubernetes-files.ts';

describe('the manifests of Kubernetes', () => {
  it('are all in a kustomization that names them, except the example of a secret', () => {
    const known = KUSTOMIZATIONS.flatMap((file) => {
      const [content] = documentsIn(file);
      const { resources, configMapGenerator } = z
        .looseObject({
          resources: z.array(z.string()),
          configMapGenerator: z.array(z.looseObject({ files: z.array(z.string()) })).default([]),
        })
        .parse(content);
      const names = [...resources, ...configMapGenerator.flatMap(({ files }) => files)];
      return [file, ...names.map((name) => relative('.', join(dirname(file), name)))];
    });
    expect(known.sort()).toEqual(FILES.filter((name) => name !== 'secret.example.yaml').sort());
  });

  it.each(TYPED)('$kind $name is valid', ({ kind, object }) => {
    const { Model } = MODELS[kind as Kind];
    new Model(object).validate();
  });

  it('only kinds without published types are not checked by them', () => {
    const kinds = new Set(MANIFESTS.filter((manifest) => !TYPED.includes(manifest)).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['HTTPRoute', 'PodMonitor']);
  });

  it('have no key that the types do not know, and a misspelt one would be found', () => {
    const literalOf = ({ kind, object }: Manifest): Literal => {
      const { from } = MODELS[kind as Kind];
      return { type: `import('${from}').I${kind}`, json: JSON.stringify(object, null, 1) };
    };
    const good = TYPED.map(literalOf);
    const misspelt = good.map(({ type, json }) => ({
      type,
      json: json.replace('readinessProbe', 'readinesProbe'),
    }));
    const [first, ...others] = errorsOfLiterals({ good, misspelt });
    expect(first).toMatch(/^misspelt\.ts\(\d+,\d+\): error TS2353: .*'"readinesProbe"' does not exist/);
    // One in the Deployment of the producer, and one in that of the worker.
    expect(others).toEqual([
      expect.stringMatching(/^misspelt\.ts\(\d+,\d+\): error TS2353: .*readinesProbe/),
    ]);
  });

  it('are built by kubectl, with and without each component', () => {
    const program = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
    if (program.error !== undefined) {
      process.stderr.write('SKIPPED: the kustomization was not built, kubectl is missing\n');
      return;
    }
    const folder = mkdtempSync(join(cacheFolder(), 'kustomize-'));
    try {
      const path = (name: string): string => relative(folder, join(FOLDER, name));
      const components = KUSTOMIZATIONS.map((file) => dirname(file)).filter((name) => name !== '.');
      writeFileSync(
        join(folder, 'kustomization.yaml'),
        JSON.stringify({ resources: [path('.')], components: components.map(path) }),
      );
      const kindsIn = (from: string): string[] => {
        const { stdout, stderr, status } = spawnSync('kubectl', ['kustomize', from], { encoding: 'utf8' });
        expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
        return [...stdout.matchAll(/^kind: (\w+)/gm)].map(([, kind = '']) => kind).sort();
      };
      const base = ({ file }: Manifest): boolean =>
        !file.startsWith('components') && !file.includes('example');
      const kinds = (some: readonly Manifest[]): string[] =>
        [...some.map(({ kind }) => kind), 'ConfigMap'].sort();
      expect(kindsIn(FOLDER)).toEqual(kinds(MANIFESTS.filter(base)));
      expect(kindsIn(folder)).toEqual(kinds(MANIFESTS.filter(({ file }) => !file.includes('example'))));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each(PROCESSES)('give the %s a selector, probes and variables that fit', (name) => {
    const { replicas, selector, template } = deploymentOf(name);
    const { containers, topologySpreadConstraints, terminationGracePeriodSeconds } = template.spec;
    const [{ args, env, ports, livenessProbe, readinessProbe, lifecycle }] = containers;
    expect(replicas).toBe(2);
    expect(args).toEqual([name]);
    expect(selector.matchLabels).toEqual(template.metadata.labels);
    expect(topologySpreadConstraints.map(({ labelSelector }) => labelSelector)).toEqual([selector]);
    expect(
      named(
        'PodDisruptionBudget',
        `o3q-${name}`,
        z.looseObject({ spec: z.looseObject({ selector: z.unknown() }) }),
      ).spec.selector,
    ).toEqual(selector);
    expect([livenessProbe, readinessProbe].map(({ httpGet }) => httpGet)).toEqual([
      { path: '/livez', port: ports[0].name },
      { path: '/readyz', port: ports[0].name },
    ]);
    const variables = Object.fromEntries(env.map(({ name: variable, value }) => [variable, value]));
    const unknown = Object.keys(variables).filter(
      (variable) => !Object.hasOwn(VARIABLES, variable) && !isSecretFile(variable),
    );
    expect(unknown).toEqual([]);
    expect(ports[0].containerPort).toBe(Number(variables['PORT'] ?? variables['O3Q_WORKER_PORT']));
    const stopS = Number(lifecycle?.preStop.exec.command.at(-1) ?? 0);
    const leaveMs = terminationGracePeriodSeconds * 1000;
    expect(leaveMs).toBeGreaterThan(stopS * 1000 + Number(variables['O3Q_SHUTDOWN_MS']) + 5000);
  });

  it.each(PROCESSES)('mount files for the %s as folders, where its variables look for them', (name) => {
    const { containers, volumes } = deploymentOf(name).template.spec;
    const [{ env, volumeMounts }] = containers;
    const mounted = volumeMounts.flatMap(({ name: volume, mountPath }) => {
      const { configMap, secret: mountedSecret } = volumes.find((each) => each.name === volume) ?? {};
      if (configMap !== undefined) return [`${mountPath}/o3q.config.json`];
      for (const { key } of mountedSecret?.items ?? []) expect(Object.keys(secret.stringData)).toContain(key);
      return (mountedSecret?.items ?? []).map(({ path }) => `${mountPath}/${path}`);
    });
    const read = env
      .filter(({ name: variable }) => /_FILE$|_CONFIG$/.test(variable))
      .map(({ value }) => value);
    expect(read.sort()).toEqual(mounted.sort());
  });

  it('lead to the producers by a Service', () => {
    const service = named(
      'Service',
      'o3q-producer',
      z.looseObject({
        spec: z.looseObject({
          selector: labels,
          ports: z.tuple([z.looseObject({ targetPort: z.string() })]),
        }),
      }),
    ).spec;
    const { selector, template } = deploymentOf('producer');
    expect(service.selector).toEqual(selector.matchLabels);
    expect(service.ports[0].targetPort).toBe(template.spec.containers[0].ports[0].name);
  });

  it('have the version of the package, and a configuration that a process accepts', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    const [kustomization] = documentsIn('kustomization.yaml');
    expect(kustomization).toMatchObject({ images: [{ name: 'o3-queue', newTag: version }] });
    for (const name of PROCESSES)
      expect(deploymentOf(name).template.spec.containers[0].image).toBe('o3-queue');
    fileSchema.parse(JSON.parse(readFileSync(join(FOLDER, 'o3q.config.json'), 'utf8')));
  });
});

describe('the scaling by KEDA', () => {
  const { spec } = named(
    'ScaledObject',
    'o3q-worker',
    z.looseObject({
      spec: z.looseObject({
        scaleTargetRef: z.strictObject({ name: z.string() }),
        triggers: z.array(z.looseObject({ metadata: z.record(z.string(), z.string()) })),
      }),
    }),
  );

  it('reads numbers that GET /scaling has', () => {
    expect(deploymentOf('worker').replicas).toBeDefined();
    expect(spec.scaleTargetRef.name).toBe('o3q-worker');
    const example = getScaling.answers[200]?.content?.examples?.['limited'];
    for (const { metadata } of spec.triggers) {
      expect(metadata['url']).toBe('http://o3q-producer.o3q.svc/scaling');
      expect(example).toHaveProperty(metadata['valueLocation'] ?? '', expect.any(Number));
    }
  });

  it('has limits of which the documentation names each', () => {
    const text = readFileSync(join(ROOT, 'docs/operating/DEPLOYING.md'), 'utf8');
    const [, sentence = ''] = /`limited_by` is what holds the others: ([^;]+)/.exec(text) ?? [];
    const named = [...sentence.matchAll(/`(\w+)`/g)].map(([, limit]) => limit);
    expect(named.sort()).toEqual([...RUNNABLE_LIMITS].sort());
  });

  it('aims at three quarters of what a worker holds', () => {
    const { env } = deploymentOf('worker').template.spec.containers[0];
    const slots = Number(env.find(({ name }) => name === 'O3Q_CONCURRENCY')?.value);
    expect(spec.triggers.map(({ metadata }) => Number(metadata['targetValue']))).toEqual([
      0.75 * slots,
      0.75 * slots,
    ]);
  });
});
