import { offerTables } from './offer-tables.ts';
import type { Verb } from './verb.ts';

/** A script for `source <(millpool completion bash)`. */
export function bashScript(program: Verb): string {
  return `# millpool: completion for bash
${offerTables(program)}
${completer}
complete -F _millpool millpool`;
}

/** The first argument is the program as it was typed, which is asked for paths. */
const completer = `_millpool_paths() {
  local directory=\${2%/*}/ name
  compopt -o filenames -o nospace 2>/dev/null
  if [[ $2 != /* ]]; then
    [[ -z $2 ]] && COMPREPLY=(/)
    return
  fi
  while IFS= read -r name; do
    [[ $directory$name == "$2"* ]] && COMPREPLY+=("$directory$name")
  done < <(MILLPOOL_CALL_TIMEOUT=2s "$1" "\${reach[@]}" ls "$directory" 2>/dev/null)
}

_millpool() {
  local current=\${COMP_WORDS[COMP_CWORD]} verb='' option='' word i REPLY
  local -a reach=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i += 1)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == -* ]]; then
      _millpool_offer "$verb" "$word"
      [[ -z $REPLY ]] && continue
      i=$((i + 1))
      if ((i == COMP_CWORD)); then
        option=$word
      elif [[ $word == --socket || $word == --config ]]; then
        reach+=("$word" "\${COMP_WORDS[i]}")
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
    'words '*) mapfile -t COMPREPLY < <(compgen -W "\${REPLY#words }" -- "$current") ;;
    path) _millpool_paths "$1" "$current" ;;
    file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      ;;
  esac
}`;
