import type { Command } from 'commander';
import { Option } from 'commander';
import { compressions, parseFreshness, policies } from '@millpool/protocol';
import type { Attachment, Compression, Policy } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';
import { absoluteSource } from '../source-argument.ts';

interface AttachOptions {
  readonly at?: string;
  readonly freshness?: string;
  readonly policy?: Policy;
  readonly compression?: Compression;
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly anonymous?: boolean;
  readonly requesterPays?: boolean;
  readonly readOnly?: boolean;
}

export function attachCommand(program: Command, context: CommandContext): void {
  program
    .command('attach')
    .description('Put a bucket prefix or a folder at a path of the namespace')
    .argument('<source>', 's3://BUCKET/PREFIX or a local folder')
    .option('--at <path>', 'where it appears (default: / and the last name of the source)')
    .option('--freshness <F>', 'how old metadata may be: immutable, ttl=60s or strict (default: ttl=60s)')
    .addOption(new Option('--policy <P>', 'what stays in the cache (default: auto)').choices([...policies]))
    .addOption(new Option('--compression <C>', 'how records are stored (default: off)').choices([...compressions]))
    .option('--endpoint <url>', 'S3 endpoint (default: AWS_ENDPOINT_URL, then AWS itself)')
    .option('--region <name>', 'S3 region (default: AWS_REGION, then the profile)')
    .option('--profile <name>', 'AWS profile for its credentials (default: AWS_PROFILE)')
    .option('--anonymous', 'do not sign requests')
    .option('--requester-pays', 'agree to pay for requests')
    .option('--read-only', 'never write to the source')
    .action((source: string, options: AttachOptions) =>
      context.run(async ({ settings, session, output, signal }) => {
        const { freshness, policy, compression } = settings.config;
        const { source: absolute, s3 } = absoluteSource(source);
        const attachment = await session.call(
          'attach',
          {
            source: absolute,
            path: options.at ?? null,
            freshness: options.freshness === undefined ? freshness : parseFreshness(options.freshness),
            policy: options.policy ?? policy,
            compression: options.compression ?? compression,
            readOnly: options.readOnly === true,
            s3: s3
              ? {
                  endpoint: options.endpoint ?? null,
                  region: options.region ?? null,
                  profile: options.profile ?? null,
                  anonymous: options.anonymous === true,
                  requesterPays: options.requesterPays === true,
                }
              : null,
          },
          { signal },
        );
        output.result(attachmentJson(attachment), `${attachment.source} is attached at ${attachment.path}.`);
      }),
    );
}

/** An attachment as `--json` shows it. */
export function attachmentJson(attachment: Attachment): object {
  const { path, source, freshness, policy, compression, readOnly, s3, attachedAt } = attachment;
  const written = freshness.kind === 'ttl' ? `ttl=${freshness.seconds}s` : freshness.kind;
  return { path, source, freshness: written, policy, compression, readOnly, s3, attachedAt };
}
