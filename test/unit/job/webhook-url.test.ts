import { refusedRange, webhookUrlFlaw } from '../../../src/job/fields/webhook-url.ts';
import { parseJobRequest } from '../../../src/job/request.ts';

describe('an address', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'carrierGradeNat'],
    ['100.100.100.200', 'carrierGradeNat'],
    ['169.254.169.254', 'linkLocal'],
    ['168.63.129.16', 'metadata of the cloud'],
    ['192.0.0.192', 'reserved'],
    ['192.0.2.1', 'reserved'],
    ['198.18.0.1', 'reserved'],
    ['203.0.113.9', 'reserved'],
    ['224.0.0.1', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::127.0.0.1', 'unallocated'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:a9fe:a9fe', 'linkLocal'],
    ['::ffff:0:127.0.0.1', 'rfc6145'],
    ['64:ff9b::7f00:1', 'rfc6052'],
    ['64:ff9b::101:101', 'rfc6052'],
    ['64:ff9b:1::a00:1', 'rfc6052'],
    ['2002:7f00:1::1', '6to4'],
    ['2001:0:7f00:1::1', 'teredo'],
    ['2001:db8::1', 'reserved'],
    ['fc00::1', 'uniqueLocal'],
    ['fd00:ec2::254', 'metadata of the cloud'],
    ['fe80::1', 'linkLocal'],
    ['fe80::1%eth0', 'linkLocal'],
    ['fec0::1', 'deprecatedSiteLocal'],
    ['ff02::1', 'multicast'],
    ['100::1', 'discard'],
    ['4000::1', 'unallocated'],
    ['not an address', 'no IP address'],
  ])('%s is not public: %s', (address, range) => {
    expect(refusedRange(address, false)).toBe(range);
  });

  it.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '::ffff:1.1.1.1', '2606:4700:4700::1111'])(
    '%s is public',
    (address) => {
      expect(refusedRange(address, false)).toBeUndefined();
    },
  );

  it('of this machine or a private network is accepted where the setting allows it, and no other', () => {
    const opened = ['127.0.0.1', '::1', '10.0.0.1', '192.168.1.1', 'fd00::1', '::ffff:127.0.0.1', '1.1.1.1'];
    expect(opened.map((address) => refusedRange(address, true))).toEqual(opened.map(() => undefined));
    const closed = [
      '169.254.169.254',
      'fe80::1',
      '0.0.0.0',
      '::',
      '224.0.0.1',
      '168.63.129.16',
      'fd00:ec2::254',
    ];
    const more = ['64:ff9b::7f00:1', '2002:7f00:1::1', '::127.0.0.1', '::ffff:169.254.169.254', '240.0.0.1'];
    expect([...closed, ...more].filter((address) => refusedRange(address, true) === undefined)).toEqual([]);
  });
});

describe('a webhook_url', () => {
  it.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0x7f.1/',
    'http://017700000001/',
    'http://0177.0.0.1/',
    'http://127.0.0.1./',
    'http://%31%32%37.0.0.1/',
    'http://①②⑦.0.0.1/',
    'https://127。0。0。1/',
    'http:127.0.0.1',
    'http:\\\\127.0.0.1\\hook',
    'http://127.0.0.1:8080/?to=example.com',
    'http://0/',
    'http://[::1]/',
    'http://[0:0:0:0:0:0:0:1]:6379/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[::127.0.0.1]/',
    'http://[64:ff9b::127.0.0.1]/',
    'http://[2002:7f00:1::]/',
    'http://[fe80::1]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://2852039166/',
    'http://localhost/',
    'http://LOCALHOST:3000/',
    'http://localhost./',
    'http://localhost../',
    'http://ⓛocalhost/',
    'http://a.localhost/',
    'http://metadata.google.internal/',
    'http://printer.local/',
    'http://printer.local./',
  ])('%s is refused because it leads to this machine or network', (url) => {
    expect(webhookUrlFlaw(url, false)).toMatch(/^expected a public (address|host), got /);
  });

  it.each([
    'https://example.com/hook',
    'http://example.com.:8080/hook?token=a%20b#part',
    'https://1.1.1.1/',
    'https://[2606:4700:4700::1111]:8443/',
    'https://notlocalhost/',
    'https://local.example.com/',
    'https://example.com/@127.0.0.1',
    'https://127.0.0.1.example.com/',
  ])('%s is accepted', (url) => {
    expect(webhookUrlFlaw(url, false)).toBeUndefined();
  });

  it.each([
    ['example.com/hook', 'begins with http:// or https://'],
    ['ftp://example.com/', 'begins with http:// or https://'],
    ['file:///etc/passwd', 'begins with http:// or https://'],
    ['javascript:alert(1)', 'begins with http:// or https://'],
    ['http://', 'begins with http:// or https://'],
    ['http://256.1.1.1/', 'begins with http:// or https://'],
    ['http://[fe80::1%25eth0]/', 'begins with http:// or https://'],
    ['http://user@example.com/', 'without a user name and a password'],
    ['http://1.1.1.1:x@127.0.0.1/', 'without a user name and a password'],
    ['http://:secret@example.com/', 'without a user name and a password'],
    [`https://example.com/${'x'.repeat(1981)}`, '2000'],
    ['', 'begins with http:// or https://'],
    [5, 'string'],
    [null, 'string'],
    [['https://example.com'], 'string'],
  ])('%j is refused in both forms of a request', (url, said) => {
    for (const work of [{ question: 'Why?' }, { request: { input: 'Why?' } }]) {
      const parse = (): unknown => parseJobRequest({ ...work, webhook_url: url });
      expect(parse).toThrow(/webhook_url: expected/);
      expect(parse).toThrow(said);
      expect(parse).not.toThrow('secret');
    }
  });

  it('may have 2,000 characters, and is not part of the job’s data', () => {
    const webhook_url = `https://example.com/${'x'.repeat(1980)}`;
    expect(parseJobRequest({ question: 'Why?', webhook_url })).toEqual({ question: 'Why?', webhook_url });
  });

  it('may lead to this machine where the setting allows it, but never to the credentials of a cloud', () => {
    expect(webhookUrlFlaw('http://localhost:3000/', true)).toBeUndefined();
    expect(webhookUrlFlaw('http://127.0.0.1:3000/', true)).toBeUndefined();
    expect(webhookUrlFlaw('http://169.254.169.254/', true)).toContain('linkLocal');
    expect(webhookUrlFlaw('http://a:b@localhost/', true)).toContain('without a user name');
  });
});
