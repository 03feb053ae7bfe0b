import java.io.FileReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints the committed rows of a topic up to its last stable offsets, one a line: partition, offset, key and value. These two are
 * a hyphen for null, else a dot and the bytes in base64.
 *
 * Arguments: a file of settings of the consumer, and the topic.
 */
public final class ReadTopic {
  public static void main(String[] args) throws Exception {
    Properties settings = new Properties();
    try (FileReader file = new FileReader(args[0], StandardCharsets.UTF_8)) {
      settings.load(file);
    }
    settings.put("isolation.level", "read_committed");
    settings.put("enable.auto.commit", "false");
    settings.put("auto.offset.reset", "none");
    try (KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII)) {
      read(consumer, args[1], out);
    }
  }

  private static void read(KafkaConsumer<byte[], byte[]> consumer, String topic, PrintStream out) {
    List<TopicPartition> partitions =
        consumer.partitionsFor(topic).stream()
            .map(info -> new TopicPartition(topic, info.partition()))
            .collect(Collectors.toList());
    consumer.assign(partitions);
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    consumer.seekToBeginning(partitions);
    while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
      for (ConsumerRecord<byte[], byte[]> row : consumer.poll(Duration.ofMillis(500))) {
        if (row.offset() >= ends.get(new TopicPartition(topic, row.partition()))) continue;
        out.println(row.partition() + " " + row.offset() + " " + text(row.key()) + " " + text(row.value()));
      }
    }
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "-" : "." + Base64.getEncoder().encodeToString(bytes);
  }
}
