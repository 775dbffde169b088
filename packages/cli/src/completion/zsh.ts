import { offerTables } from './offer-tables.ts';
import type { Verb } from './verb.ts';

/** A script for a file `_millpool` of zsh's `fpath`, or for `source <(millpool completion zsh)`. */
export function zshScript(program: Verb): string {
  return `#compdef millpool
# millpool: completion for zsh
${offerTables(program)}
${completer}
if [[ $funcstack[1] == _millpool ]]; then
  _millpool "$@"
else
  compdef _millpool millpool
fi`;
}

const completer = `_millpool_paths() {
  local directory=\${1%/*}/ name
  local -a found=()
  if [[ $1 != /* ]]; then
    [[ -z $1 ]] && compadd -S '' -- /
    return
  fi
  while IFS= read -r name; do
    found+=("$directory$name")
  done < <(MILLPOOL_CALL_TIMEOUT=2s "$words[1]" "\${reach[@]}" ls "$directory" 2>/dev/null)
  compadd -S '' -- "\${found[@]}"
}

_millpool() {
  local current=$words[CURRENT] verb='' option='' word i REPLY
  local -a reach=()
  for ((i = 2; i < CURRENT; i += 1)); do
    word=$words[i]
    if [[ $word == -* ]]; then
      _millpool_offer "$verb" "$word"
      [[ -z $REPLY ]] && continue
      i=$((i + 1))
      if ((i == CURRENT)); then
        option=$word
      elif [[ $word == --socket || $word == --config ]]; then
        reach+=("$word" "$words[i]")
      fi
    elif _millpool_is_verb "$verb" "$word"; then
      verb=\${verb:+$verb }$word
    fi
  done
  if [[ -z $option && $current == -* ]]; then
    _millpool_options "$verb"
    REPLY="words $REPLY"
  else
    _millpool_offer "$verb" "$option"
  fi
  case $REPLY in
    'words '*) compadd -- \${=REPLY#words } ;;
    path) _millpool_paths "$current" ;;
    file) _files ;;
  esac
}`;
