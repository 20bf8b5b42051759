import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * One OpenSearch node on loopback: {@code OpenSearchLauncher DATA_DIR HTTP_PORT}. The runner's own main takes only ports near 9200.
 * Run as a source file, so there is nothing to compile or to keep fresh.
 */
public final class OpenSearchLauncher {
    /** Where the node-to-node port lies, counted from the HTTP port; nothing joins us, but it must not clash. */
    private static final int TRANSPORT_OFFSET = 100;

    public static void main(String[] args) throws Exception {
        String httpPort = args[1];
        int beyond = Integer.parseInt(httpPort) + TRANSPORT_OFFSET;
        int transportPort = beyond < 65536 ? beyond : beyond - 2 * TRANSPORT_OFFSET;

        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> settings
            .put("network.host", "127.0.0.1")
            .put("http.port", httpPort)
            .put("transport.port", transportPort)
            // A developer's disk is often nearly full; a read-only index would look like a fault of ours.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("action.auto_create_index", true));
        runner.build(OpenSearchRunner.newConfigs()
            .clusterName("loggerhub")
            .basePath(args[0])
            .numOfNode(1)
            .disableESLogger());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        Thread.currentThread().join();
    }
}
