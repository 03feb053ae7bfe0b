import java.lang.management.ManagementFactory;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes rows into a topic, idempotently. Prints how many were acknowledged, the milliseconds of CPU time of all threads and those that
 * passed. Compiling this file is not counted.
 *
 * Arguments: host:port of the brokers, the topic, the number of rows, and the bytes of each.
 */
public final class ProduceRows {
  public static void main(String[] args) {
    com.sun.management.OperatingSystemMXBean system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    int rows = Integer.parseInt(args[2]);
    String padding = "x".repeat(Integer.parseInt(args[3]));
    long cpu = system.getProcessCpuTime();
    long wall = System.nanoTime();
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("enable.idempotence", "true");
    settings.put("acks", "all");
    settings.put("linger.ms", "20");
    settings.put("batch.size", "524288");
    settings.put("buffer.memory", "67108864");
    AtomicLong written = new AtomicLong();
    try (KafkaProducer<byte[], String> producer =
        new KafkaProducer<>(settings, new ByteArraySerializer(), new StringSerializer())) {
      int partitions = producer.partitionsFor(args[1]).size();
      for (int i = 0; i < rows; i++) {
        String number = Integer.toString(i);
        String row = number + padding.substring(number.length());
        producer.send(
            new ProducerRecord<>(args[1], i % partitions, null, row),
            (metadata, error) -> {
              if (error == null) written.incrementAndGet();
            });
      }
    }
    long cpuMs = (system.getProcessCpuTime() - cpu) / 1_000_000;
    long wallMs = (System.nanoTime() - wall) / 1_000_000;
    System.out.println("{\"rows\":" + written + ",\"cpuMs\":" + cpuMs + ",\"wallMs\":" + wallMs + "}");
  }
}
