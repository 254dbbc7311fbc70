import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { ScaledObject, TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import { Deployment } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Namespace, Secret, Service } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { getScaling } from '../../../producer/openapi/operations/models.ts';
import { VARIABLES } from '../../../src/config/environment.ts';
import { fileSchema } from '../../../src/config/schema.ts';
import { isSecretFile } from '../../../src/config/secret-files.ts';
import { RUNNABLE_LIMITS } from '../../../src/models/runnable.ts';
import { cacheFolder, errorsOfLiterals, type Literal } from '../../support/typed-literals.ts';

const ROOT = join(__dirname, '../../..');
const FOLDER = join(ROOT, 'deploy/kubernetes');

/** The kinds whose types are published on npm, each with the name of its type and where that type is. */
const MODELS = {
  Deployment: { Model: Deployment, from: 'kubernetes-models/apps/v1' },
  Namespace: { Model: Namespace, from: 'kubernetes-models/v1' },
  NetworkPolicy: { Model: NetworkPolicy, from: 'kubernetes-models/networking.k8s.io/v1' },
  PodDisruptionBudget: { Model: PodDisruptionBudget, from: 'kubernetes-models/policy/v1' },
  ScaledObject: { Model: ScaledObject, from: '@kubernetes-models/keda/keda.sh/v1alpha1' },
  Secret: { Model: Secret, from: 'kubernetes-models/v1' },
  Service: { Model: Service, from: 'kubernetes-models/v1' },
  TriggerAuthentication: { Model: TriggerAuthentication, from: '@kubernetes-models/keda/keda.sh/v1alpha1' },
} as const;
type Kind = keyof typeof MODELS;

interface Manifest {
  kind: string;
  name: string;
  file: string;
  object: never;
}

const FILES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.\w+$/.test(name),
);
const KUSTOMIZATIONS = FILES.filter((name) => basename(name) === 'kustomization.yaml');
const MANIFESTS = FILES.filter((name) => name.endsWith('.yaml') && !KUSTOMIZATIONS.includes(name)).flatMap(
  (file) =>
    documentsIn(file).map((object): Manifest => {
      const { kind, metadata } = z
        .looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) })
        .parse(object);
      return { kind, name: metadata.name, file, object: object as never };
    }),
);
const TYPED = MANIFESTS.filter(({ kind }) => Object.hasOwn(MODELS, kind));

function documentsIn(file: string): unknown[] {
  return parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as unknown;
  });
}

/** named returns the manifest of a kind and a name in the form that a schema describes. */
function named<Output>(kind: string, name: string, schema: z.ZodType<Output>): Output {
  return schema.parse(MANIFESTS.find((manifest) => manifest.kind === kind && manifest.name === name)?.object);
}

const labels = z.record(z.string(), z.string());
const probe = z.looseObject({ httpGet: z.looseObject({ path: z.string(), port: z.string() }) });
const deployment = z.looseObject({
  spec: z.looseObject({
    replicas: z.number(),
    selector: z.strictObject({ matchLabels: labels }),
    template: z.looseObject({
      metadata: z.looseObject({ labels }),
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number(),
        topologySpreadConstraints: z.array(
          z.looseObject({ labelSelector: z.strictObject({ matchLabels: labels }) }),
        ),
        containers: z.tuple([
          z.looseObject({
            image: z.string(),
            args: z.tuple([z.string()]),
            env: z.array(z.strictObject({ name: z.string(), value: z.string() })),
            ports: z.tuple([z.looseObject({ name: z.string(), containerPort: z.number() })]),
            readinessProbe: probe,
            livenessProbe: probe,
            lifecycle: z
              .strictObject({
                preStop: z.looseObject({ exec: z.looseObject({ command: z.array(z.string()) }) }),
              })
              .optional(),
            volumeMounts: z.array(
              z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true) }),
            ),
          }),
        ]),
        volumes: z.array(
          z.looseObject({
            name: z.string(),
            configMap: z.looseObject({ name: z.string() }).optional(),
            secret: z
              .looseObject({
                secretName: z.string(),
                items: z.array(z.strictObject({ key: z.string(), path: z.string() })),
              })
              .optional(),
          }),
        ),
      }),
    }),
  }),
});
const PROCESSES = ['producer', 'worker'] as const;
const deploymentOf = (process: string) => named('Deployment', `o3q-${process}`, deployment).spec;
const secret = named('Secret', 'o3q', z.looseObject({ stringData: z.record(z.string(), z.string()) }));

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
