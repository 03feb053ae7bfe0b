package peers;

import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Word count with Spark's RDDs on two threads: one run for each line on standard input, answered with one line of JSON.
 * Run: {@code java … peers.WordCount FILE}.
 */
public final class WordCount {
  private static final int THREADS = 2;

  private WordCount() {}

  public static void main(String[] args) throws Exception {
    SparkConf conf =
        new SparkConf()
            .setAppName("word-count")
            .setMaster("local[" + THREADS + "]")
            .set("spark.ui.enabled", "false")
            .set("spark.driver.host", "127.0.0.1")
            .set("spark.driver.bindAddress", "127.0.0.1");
    try (JavaSparkContext spark = new JavaSparkContext(conf)) {
      spark.setLogLevel("ERROR");
      // As the other peers: the lines lie in memory before the first run.
      JavaRDD<String> lines = spark.textFile(args[0], THREADS).persist(StorageLevel.MEMORY_ONLY());
      lines.count();
      BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      System.out.println("ready");
      while (input.readLine() != null) System.out.println(measured(lines));
    }
  }

  private static String measured(JavaRDD<String> lines) {
    long cpu = cpuNanos();
    long wall = System.nanoTime();
    List<Tuple2<String, Integer>> counts =
        lines
            .flatMap(line -> Arrays.asList(line.split(" ")).iterator())
            .mapToPair(word -> new Tuple2<>(word, 1))
            .reduceByKey(Integer::sum, THREADS)
            .collect();
    double wallMs = (System.nanoTime() - wall) / 1e6;
    double cpuMs = (cpuNanos() - cpu) / 1e6;
    long words = 0;
    long squares = 0;
    for (Tuple2<String, Integer> count : counts) {
      words += count._2;
      squares += (long) count._2 * count._2;
    }
    return String.format(
        Locale.ROOT,
        "{\"words\":%d,\"distinct\":%d,\"squares\":%d,\"cpuMs\":%.3f,\"wallMs\":%.3f}",
        words,
        counts.size(),
        squares,
        cpuMs,
        wallMs);
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }
}
