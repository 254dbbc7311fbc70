/** What a person reads when no server was found: the ways out for this platform, and what was tried. */
export function noRedisText(platform: NodeJS.Platform, refusals: readonly string[]): string {
  return `This program needs a Redis server (version 6.2 or newer) and found none.

Do one of these, then start again:
  1. Use a server you have:   REDIS_URL=redis://host:6379 npm start
  2. ${waysToInstall(platform)}
  3. Use Docker:  docker run -d -p 127.0.0.1:6379:6379 valkey/valkey:8   and   REDIS_URL=redis://127.0.0.1:6379

What was tried:
${refusals.map((refusal) => `  - ${refusal}`).join('\n')}`;
}

function waysToInstall(platform: NodeJS.Platform): string {
  switch (platform) {
    case 'win32':
      return 'Run this project inside WSL 2, or install Memurai and set REDIS_URL=redis://127.0.0.1:6379';
    case 'darwin':
      return `Install one; it is found and started by itself:
       brew install valkey        (or: brew install redis)`;
    default:
      return `Install one; it is found and started by itself:
       Debian/Ubuntu sudo apt-get install redis-server
       Fedora/RHEL   sudo dnf install valkey
       Alpine        sudo apk add valkey
       Arch          sudo pacman -S valkey`;
  }
}
