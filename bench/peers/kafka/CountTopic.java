import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Counts the committed rows of a topic, and looks at the last character of each. Prints the count, the milliseconds of CPU time of all threads
 * and those that passed. Compiling this file is not counted.
 *
 * Arguments: host:port of the brokers, and the topic.
 */
public final class CountTopic {
  public static void main(String[] args) {
    com.sun.management.OperatingSystemMXBean system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long wall = System.nanoTime();
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("isolation.level", "read_committed");
    settings.put("enable.auto.commit", "false");
    settings.put("auto.offset.reset", "none");
    settings.put("max.poll.records", "10000");
    long rows;
    try (KafkaConsumer<byte[], String> consumer =
        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new StringDeserializer())) {
      rows = count(consumer, args[1]);
    }
    long cpuMs = (system.getProcessCpuTime() - cpu) / 1_000_000;
    long wallMs = (System.nanoTime() - wall) / 1_000_000;
    System.out.println("{\"rows\":" + rows + ",\"cpuMs\":" + cpuMs + ",\"wallMs\":" + wallMs + "}");
  }

  private static long count(KafkaConsumer<byte[], String> consumer, String topic) {
    List<TopicPartition> partitions =
        consumer.partitionsFor(topic).stream()
            .map(info -> new TopicPartition(topic, info.partition()))
            .collect(Collectors.toList());
    consumer.assign(partitions);
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    consumer.seekToBeginning(partitions);
    long rows = 0;
    int last = 0;
    while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
      for (ConsumerRecord<byte[], String> row : consumer.poll(Duration.ofMillis(500))) {
        rows++;
        last ^= row.value().charAt(row.value().length() - 1);
      }
    }
    return last == Integer.MIN_VALUE ? -1 : rows;
  }
}
