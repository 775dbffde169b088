/** What people type, by verb, as its help shows it. Every verb has one at least. */
export const examples: Readonly<Record<string, readonly string[]>> = {
  up: [
    'millpool up s3://bucket/train',
    'millpool up s3://bucket/train ./labels --data /nvme0/millpool --data /nvme1/millpool --size 90%',
    'millpool up s3://bucket/train --data /nvme0/millpool --slow-data /hdd0/millpool --slow-data /hdd1/millpool',
    'millpool up --detach',
  ],
  down: ['millpool down'],
  status: ['millpool status', 'millpool status --json | jq .cache.hitRatio'],
  top: ['millpool top', 'millpool top --json --delay 5'],
  why: ['millpool why /train/a.png'],
  doctor: ['millpool doctor'],
  bench: ['millpool bench', 'millpool bench /train'],
  support: ['millpool support --output fault.json'],
  attach: [
    'millpool attach s3://bucket/train --at /train --freshness immutable',
    'millpool attach s3://bucket/x --endpoint http://127.0.0.1:9000 --anonymous',
    'millpool attach /mnt/nfs/photos --policy keep',
  ],
  detach: ['millpool detach /train'],
  attachments: ['millpool attachments'],
  ls: ['millpool ls -l /train', 'millpool ls -R --json /train | jq -r .path'],
  stat: ['millpool stat /train/a.png /train/b.png'],
  find: ['millpool find /train --name "*.png" --size +1MiB'],
  du: ['millpool du --depth 1 --cached /train'],
  cat: ['millpool cat /train/labels.csv | head'],
  cp: ['millpool cp -R /train/part-000 ./copy'],
  load: [
    'millpool load /train --wait',
    'millpool load /train --verify --wait',
    'millpool load /train --rate 200MiB/s --concurrency 64',
  ],
  'jobs ls': ['millpool jobs ls', 'millpool jobs ls --json | jq .secondsLeft'],
  'jobs show': ['millpool jobs show 7'],
  'jobs cancel': ['millpool jobs cancel 7'],
  check: ['millpool check', 'millpool check /train --json', 'millpool check /train --source'],
  free: ['millpool free /train/part-000'],
  pin: ['millpool pin /train/part-000'],
  unpin: ['millpool unpin /train/part-000'],
  'dataset snapshot': ['millpool dataset snapshot /train --include "**/*.png"'],
  'dataset ls': ['millpool dataset ls'],
  'dataset diff': ['millpool dataset diff 3f2a 9c41'],
  'dataset free': ['millpool dataset free 3f2a'],
  config: ['millpool config', 'millpool config --json'],
  completion: [
    'source <(millpool completion bash)       # in ~/.bashrc',
    'source <(millpool completion zsh)        # in ~/.zshrc, after compinit',
    'millpool completion fish | source        # in ~/.config/fish/config.fish',
  ],
  purge: ['millpool purge --dry-run', 'millpool purge --yes --data /nvme0/millpool --data /nvme1/millpool'],
};

export function exampleText(verb: string): string {
  const [first, ...others] = examples[verb] ?? [];
  if (first === undefined) return '';
  if (others.length === 0) return `\nExample: ${first}`;
  return `\nExamples:\n${[first, ...others].map((line) => `  ${line}`).join('\n')}`;
}
