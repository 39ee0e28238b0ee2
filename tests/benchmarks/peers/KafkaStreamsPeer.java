/*
 * The job on Kafka Streams: one stream thread, states and timers in RocksDB with changelog topics.
 *
 * Run by the JDK's launcher for a single source file, with the jars of pom.xml: java -cp 'JARS/*' KafkaStreamsPeer.java
 * TASK, where TASK is the JSON object that task.py describes. The ten triggers and their policy are those of job.py,
 * function by function; amounts are whole hundredths, times milliseconds.
 */

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.PropertyAccessor;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.bouncycastle.crypto.digests.Blake2bDigest;

public final class KafkaStreamsPeer {
    static final ObjectMapper JSON = new ObjectMapper().setVisibility(PropertyAccessor.FIELD, JsonAutoDetect.Visibility.ANY);
    static final String TENANT = "bank";
    static final String FLOW = "bank.transactions";
    static final long DAY = 86_400_000L;
    static final long NEVER = Long.MAX_VALUE;

    public static void main(String[] arguments) throws Exception {
        JsonNode task = JSON.readTree(arguments[0]);
        String prefix = task.get("prefix").asText();
        String out = task.get("out").asText();
        String guarantee = task.path("guarantee").asText();
        long events = task.get("events").asLong();
        Progress progress = new Progress(task.get("known").asLong() + events, task.get("warm").asLong());

        Topology topology = new Topology();
        topology.addSource("input", prefix + "bank.profiles", prefix + "bank.maturities", prefix + FLOW);
        topology.addProcessor("job", () -> new Job(prefix.length(), progress), "input");
        topology.addStateStore(Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore("customers"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled(), "job");
        topology.addStateStore(Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore("timers"), Serdes.String(), Serdes.ByteArray()), "job");
        topology.addSink("actions", out + "actions", "job");
        topology.addSink("decisions", out + "decisions", "job");

        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, out.substring(0, out.length() - 1));
        String bootstrap = task.get("bootstrap").asText();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, task.get("folder").asText());
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArray().getClass());
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        if (!guarantee.isEmpty()) {
            settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        }
        KafkaStreams streams = new KafkaStreams(topology, settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            streams.start();
            progress.done.await();
            // Each task commits when asked; what the library then shuts down is not timed, of none of the contenders.
            while (committed(admin, settings.getProperty(StreamsConfig.APPLICATION_ID_CONFIG), prefix + FLOW) < events) {
                Thread.sleep(10);
            }
        }
        double seconds = (System.nanoTime() - progress.began) / 1e9;
        double cpu = (Progress.cpuNanos() - progress.used) / 1e9;
        System.out.println("\n" + JSON.writeValueAsString(Map.of(
            "events", events - progress.before, "seconds", seconds, "cpu", cpu, "memory_mib", peakMib())));
        streams.close(Duration.ofSeconds(60));
    }

    /** How many records of a topic are committed; it was not written in transactions, so that offsets count records. */
    static long committed(Admin admin, String group, String topic) throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet().stream()
            .filter(entry -> entry.getKey().topic().equals(topic) && entry.getValue() != null)
            .mapToLong(entry -> entry.getValue().offset()).sum();
    }

    /** The most that this process's memory has been (Linux). */
    static double peakMib() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM")) {
                return Double.parseDouble(line.split("\\s+")[1]) / 1024;
            }
        }
        throw new IOException("no VmHWM");
    }

    /** How many records are left, and when the first of the flow came that is measured. One thread counts. */
    static final class Progress {
        final CountDownLatch done = new CountDownLatch(1);
        final long warm;
        long left;
        long seen;
        volatile long before;
        volatile long began;
        volatile long used;

        Progress(long records, long warm) {
            left = records;
            this.warm = warm;
        }

        void take() {
            if (began == 0 && seen >= warm) {
                before = seen;
                used = cpuNanos();
                began = System.nanoTime();
            }
            seen++;
        }

        void processed() {
            if (--left == 0) {
                done.countDown();
            }
        }

        static long cpuNanos() {
            return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
        }
    }

    /** Applies each record to its customer's state, then runs the timers of its partition that are due by its time. */
    static final class Job implements Processor<String, byte[], String, byte[]> {
        private final int prefix;
        private final Progress progress;
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, byte[]> customers;
        private KeyValueStore<String, byte[]> timers;
        private long earliest = NEVER;

        Job(int prefix, Progress progress) {
            this.prefix = prefix;
            this.progress = progress;
        }

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            customers = context.getStateStore("customers");
            timers = context.getStateStore("timers");
            findEarliest(0);
            context.schedule(Duration.ofMillis(10), PunctuationType.WALL_CLOCK_TIME, now -> {
                if (progress.done.getCount() == 0) {
                    context.commit();
                }
            });
        }

        @Override
        public void process(Record<String, byte[]> message) {
            try {
                String topic = context.recordMetadata().orElseThrow().topic().substring(prefix);
                if (topic.equals(FLOW)) {
                    progress.take();
                }
                JsonNode record = JSON.readTree(message.value());
                String customer = message.key();
                State state = load(customer);
                List<Map<String, Object>> outputs = new ArrayList<>();
                new Triggers(customer, state, outputs).apply(topic, record);
                save(customer, state);
                runOthers(state.clock, outputs);
                for (Map<String, Object> output : outputs) {
                    context.forward(
                        message.withKey((String) output.get("customer_id")).withValue(JSON.writeValueAsBytes(output)),
                        output.get("type") + "s");
                }
                progress.processed();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        private void runOthers(long until, List<Map<String, Object>> outputs) throws IOException {
            while (earliest <= until) {
                List<String> due = new ArrayList<>();
                try (KeyValueIterator<String, byte[]> found = timers.range(name(earliest, ""), name(until + 1, ""))) {
                    found.forEachRemaining(entry -> due.add(entry.key));
                }
                for (String entry : due) {
                    timers.delete(entry);
                    String customer = entry.substring(20);
                    State state = load(customer);
                    state.indexed = NEVER;
                    new Triggers(customer, state, outputs).runTimers(until);
                    save(customer, state);
                }
                findEarliest(until + 1);
            }
        }

        /** Looks from a time on, before which there is none: RocksDB would have to pass by all that was deleted. */
        private void findEarliest(long from) {
            try (KeyValueIterator<String, byte[]> found = timers.range(name(from, ""), name(NEVER, ""))) {
                earliest = found.hasNext() ? Long.parseLong(found.peekNextKey().substring(0, 19)) : NEVER;
            }
        }

        private State load(String customer) throws IOException {
            byte[] held = customers.get(customer);
            return held == null ? new State() : JSON.readValue(held, State.class);
        }

        /** An index entry that is too early stays: its customer is visited in vain and noted anew then. */
        private void save(String customer, State state) throws IOException {
            long due = state.nextDue();
            if (due < state.indexed) {
                if (state.indexed != NEVER) {
                    timers.delete(name(state.indexed, customer));
                }
                state.indexed = due;
                timers.put(name(due, customer), new byte[0]);
                earliest = Math.min(earliest, due);
            }
            customers.put(customer, JSON.writeValueAsBytes(state));
        }

        private static String name(long due, String customer) {
            String digits = Long.toString(due);
            return "0".repeat(19 - digits.length()) + digits + ":" + customer;
        }
    }

    /** One customer. */
    static final class State {
        long profile = -1;
        String tier;
        Map<String, Boolean> consents = Map.of();
        long sequence = -1;
        Long balance;
        List<long[]> levels = new ArrayList<>();
        /** Time, amount with its sign, 1 for a salary. */
        List<long[]> moves = new ArrayList<>();
        long told = -1;
        Map<String, Long> timers = new TreeMap<>();
        Map<String, Memory> memory = new HashMap<>();
        List<Contact> contacts = new ArrayList<>();
        Map<String, Candidate> waiting = new HashMap<>();
        Map<String, Holding> holdings = new HashMap<>();
        long clock;
        long indexed = NEVER;

        long nextDue() {
            long due = NEVER;
            for (long when : timers.values()) {
                due = Math.min(due, when);
            }
            return due;
        }
    }

    static final class Memory {
        long fired;
        boolean armed;
    }

    static final class Contact {
        long at;
        String category;
    }

    static final class Holding {
        String kind;
        long amount;
        String day;
        long sequence;
    }

    static final class Candidate {
        String trigger;
        String occasion;
        long at;
        String value;
        Map<String, String> fields;
        int step;
    }

    record Kind(int priority, String category, boolean climbs, long once, boolean rearmed) {}

    /** The ten triggers with their policy, for one customer. */
    static final class Triggers {
        private static final Map<String, Kind> KINDS = Map.of(
            "balance_drop", new Kind(80, "retention", true, 14 * DAY, false),
            "maturity_due", new Kind(75, "maturity", false, 0, false),
            "large_outflow", new Kind(70, "retention", false, 30 * DAY, false),
            "large_inflow", new Kind(60, "growth", false, 30 * DAY, false),
            "salary_arrived", new Kind(55, "growth", false, 25 * DAY, false),
            "threshold_up", new Kind(50, "growth", false, 0, true),
            "threshold_down", new Kind(40, "retention", false, 0, true),
            "dormancy", new Kind(35, "retention", false, 0, false),
            "idle_money", new Kind(30, "growth", false, 30 * DAY, false),
            "many_payments", new Kind(20, "retention", false, 20 * DAY, false));
        private static final Comparator<Candidate> BY_PRIORITY = Comparator
            .<Candidate>comparingInt(one -> -KINDS.get(one.trigger).priority())
            .thenComparing(one -> one.trigger)
            .thenComparingLong(one -> -one.at)
            .thenComparing(one -> one.occasion);
        private static final Set<String> INFLOWS = Set.of("transfer", "redemption", "insurance", "other");
        private static final ZoneId ZONE = ZoneId.of("Asia/Shanghai");
        private static final DateTimeFormatter MOMENT =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss.SSSSSS").withZone(ZoneOffset.UTC);

        private final String customer;
        private final State state;
        private final List<Map<String, Object>> outputs;

        Triggers(String customer, State state, List<Map<String, Object>> outputs) {
            this.customer = customer;
            this.state = state;
            this.outputs = outputs;
        }

        void apply(String topic, JsonNode record) {
            long at = OffsetDateTime.parse(record.get("occurred_at").asText()).toInstant().toEpochMilli();
            state.clock = Math.max(state.clock, at);
            runTimers(state.clock);
            switch (topic) {
                case FLOW -> transaction(record, at);
                case "bank.profiles" -> profile(record);
                case "bank.maturities" -> {
                    holding(record);
                    runTimers(state.clock); // a lead time that had passed is due at once
                }
                default -> throw new IllegalArgumentException(topic);
            }
        }

        /** Runs the timers due by a time, each as of its own; what is due at one moment competes. */
        void runTimers(long until) {
            for (long due = state.nextDue(); due <= until; due = state.nextDue()) {
                state.clock = Math.max(state.clock, due);
                List<Candidate> ready = new ArrayList<>();
                for (String name : List.copyOf(state.timers.keySet())) {
                    if (state.timers.get(name) != due) {
                        continue;
                    }
                    state.timers.remove(name);
                    String rest = name.substring(name.indexOf(':') + 1);
                    if (name.startsWith("silence:")) {
                        state.told = due - 20 * DAY;
                        if (state.balance != null && state.balance >= 1_000_00) {
                            String since = MOMENT.format(Instant.ofEpochMilli(state.told));
                            ready.add(candidate("dormancy", "silence:0:" + since, due, state.balance, Map.of()));
                        }
                    } else if (name.startsWith("maturity:")) {
                        Holding held = state.holdings.remove(rest);
                        if (Set.of("deposit", "wealth").contains(held.kind) && held.amount >= 10_000_00) {
                            String occasion = "maturity:" + rest + ":" + held.day + ":" + held.sequence + ":0";
                            ready.add(candidate("maturity_due", occasion, due, held.amount, Map.of("due", held.day)));
                        }
                    } else {
                        ready.add(state.waiting.remove(name));
                    }
                }
                ready.sort(BY_PRIORITY);
                compete(ready, due);
            }
        }

        private void profile(JsonNode record) {
            if (record.get("sequence").asLong() > state.profile) {
                state.profile = record.get("sequence").asLong();
                state.tier = record.get("tier").asText();
                state.consents = new HashMap<>();
                record.get("consents").properties()
                    .forEach(given -> state.consents.put(given.getKey(), given.getValue().asBoolean()));
            }
        }

        private void holding(JsonNode record) {
            LocalDate matures = LocalDate.parse(record.get("matures_on").asText());
            long reached = matures.minusDays(7).atTime(9, 0).atZone(ZONE).toInstant().toEpochMilli();
            if (state.clock > reached
                && state.clock >= matures.plusDays(1).atStartOfDay(ZONE).toInstant().toEpochMilli()) {
                return;
            }
            String id = record.get("holding_id").asText();
            Holding held = new Holding();
            held.kind = record.get("product_kind").asText();
            held.amount = cents(record.get("amount").asText());
            held.day = record.get("matures_on").asText();
            held.sequence = record.get("sequence").asLong();
            state.holdings.put(id, held);
            state.timers.put("maturity:" + id, Math.max(reached, state.clock));
        }

        private void transaction(JsonNode record, long at) {
            if (record.get("sequence").asLong() <= state.sequence) {
                return;
            }
            long amount = cents(record.get("amount").asText());
            long balance = cents(record.get("balance_after").asText());
            String kind = record.get("kind").asText();
            boolean own = record.has("own_account") && record.get("own_account").asBoolean();
            boolean credit = record.get("direction").asText().equals("credit");
            boolean salary = kind.equals("salary");
            long signed = credit ? amount : -amount;
            List<long[]> levels = state.levels;
            List<long[]> moves = state.moves;
            if (state.balance == null) {
                state.balance = balance - signed;
                levels.add(new long[] {at - 1, state.balance});
            }
            long before = state.balance;
            state.sequence = record.get("sequence").asLong();
            state.balance = balance;
            if (levels.get(levels.size() - 1)[1] != balance) {
                levels.add(new long[] {at, balance});
            }
            while (levels.size() > 1 && levels.get(1)[0] <= at - 30 * DAY) {
                levels.remove(0);
            }
            moves.add(new long[] {at, signed, salary ? 1 : 0});
            while (moves.get(0)[0] <= at - 90 * DAY) {
                moves.remove(0);
            }
            if (at > state.told) {
                state.timers.put("silence:0", at + 20 * DAY);
            }
            rearm("threshold_up", balance < 45_000_00);
            rearm("threshold_down", balance >= 15_000_00);

            String occasion = "transaction:" + record.get("event_id").asText();
            List<Candidate> found = new ArrayList<>();
            // In the order of their priorities.
            if (("mid".equals(state.tier) || "high".equals(state.tier)) && !own) {
                long peak = peak(at - 7 * DAY);
                if (balance * 10 <= peak * 7 && peak - balance >= 20_000_00) {
                    Map<String, String> fields = Map.of("drop", money(peak - balance));
                    found.add(candidate("balance_drop", occasion, at, peak - balance, fields));
                }
            }
            if (!credit && kind.equals("transfer") && !own && amount >= 10_000_00) {
                long month = -sum(moves, at - 30 * DAY, -1);
                if (month >= balance) {
                    found.add(candidate("large_outflow", occasion, at, amount, Map.of("month", money(month))));
                }
            }
            if (credit && INFLOWS.contains(kind) && !own && amount >= 20_000_00) {
                long usual = 0;
                long times = 0;
                for (long[] move : moves) {
                    if (move[1] > 0 && move[2] == 0) {
                        usual += move[1];
                        times++;
                    }
                }
                if (amount * times >= usual) {
                    Map<String, String> fields = Map.of("month", money(sum(moves, at - 30 * DAY, 1)));
                    found.add(candidate("large_inflow", occasion, at, amount, fields));
                }
            }
            if (credit && salary && amount >= 5_000_00) {
                long salaries = moves.stream().filter(move -> move[2] == 1 && move[0] > at - 70 * DAY).count();
                if (salaries >= 2) {
                    found.add(candidate("salary_arrived", occasion, at, amount, Map.of("salaries", "" + salaries)));
                }
            }
            if (before < 50_000_00 && balance >= 50_000_00 && !own) {
                found.add(candidate("threshold_up", occasion, at, balance, Map.of()));
            }
            if (before >= 10_000_00 && balance < 10_000_00 && !own) {
                found.add(candidate("threshold_down", occasion, at, balance, Map.of()));
            }
            if (state.tier != null && !state.tier.equals("potential") && balance >= 120_000_00) {
                long[] mean = weighted(at - 30 * DAY, at);
                long weight = mean[0];
                long span = mean[1];
                if (weight >= Math.multiplyExact(100_000_00L, span)
                    && Math.multiplyExact(balance, Math.multiplyExact(span, 10)) >= Math.multiplyExact(weight, 12)) {
                    found.add(candidate("idle_money", occasion, at, balance, Map.of("mean", money(weight / span))));
                }
            }
            if (!credit) {
                long ten = payments(at - 10 * DAY);
                if (ten >= 7 && ten * 3 >= payments(at - 60 * DAY)) {
                    found.add(candidate("many_payments", occasion, at, balance, Map.of()));
                }
            }

            List<Candidate> ready = new ArrayList<>();
            for (Candidate one : found) {
                String held = heldByMemory(one);
                if (held != null) {
                    decide(one, "suppressed", held, at);
                } else {
                    ready.add(one);
                }
            }
            compete(ready, at);
        }

        private void rearm(String trigger, boolean armed) {
            Memory known = state.memory.get(trigger);
            if (armed && known != null) {
                known.armed = true;
            }
        }

        private String heldByMemory(Candidate one) {
            Memory known = state.memory.get(one.trigger);
            if (known == null) {
                return null;
            }
            if (!known.armed) {
                return "not_rearmed";
            }
            return one.at - known.fired < KINDS.get(one.trigger).once() ? "once_per" : null;
        }

        /** The candidates stand by priority: the first that the policy allows is sent. */
        private void compete(List<Candidate> ready, long now) {
            boolean sent = false;
            for (Candidate one : ready) {
                Kind kind = KINDS.get(one.trigger);
                String channel = one.step == 0 ? "push" : "sms";
                String held = sent ? "outranked" : refused(kind.category(), channel, now);
                if (held != null) {
                    decide(one, "suppressed", held, now);
                    continue;
                }
                sent = true;
                send(one, kind, channel, now);
                if (one.step == 0) {
                    Memory memory = new Memory();
                    memory.fired = one.at;
                    memory.armed = !kind.rearmed();
                    state.memory.put(one.trigger, memory);
                    if (kind.climbs()) {
                        String waits = "ladder:" + one.trigger + ":1:" + one.occasion;
                        one.step = 1;
                        state.timers.put(waits, now + 2 * DAY);
                        state.waiting.put(waits, one);
                    }
                }
            }
        }

        private String refused(String category, String channel, long now) {
            Boolean given = state.consents.get(channel);
            if (given == null ? channel.equals("sms") : !given) {
                return "no_consent";
            }
            int week = 0;
            int growth = 0;
            for (Contact contact : state.contacts) {
                week += contact.at > now - 7 * DAY ? 1 : 0;
                growth += contact.at > now - 3 * DAY && contact.category.equals("growth") ? 1 : 0;
            }
            return week >= 3 || (category.equals("growth") && growth >= 1) ? "capped" : null;
        }

        private void send(Candidate one, Kind kind, String channel, long now) {
            Contact contact = new Contact();
            contact.at = now;
            contact.category = kind.category();
            state.contacts.add(contact);
            while (state.contacts.get(0).at < now - 7 * DAY) {
                state.contacts.remove(0);
            }
            Map<String, Object> action = new LinkedHashMap<>();
            action.put("type", "action");
            action.put("action_id", makeId(TENANT, customer, one.trigger, one.occasion, "" + one.step));
            action.put("tenant", TENANT);
            action.put("customer_id", customer);
            action.put("trigger", one.trigger);
            action.put("occasion", one.occasion);
            action.put("step", one.step);
            action.put("channel", channel);
            action.put("offer", one.trigger);
            action.put("category", kind.category());
            action.put("complexity", "simple");
            action.put("priority", kind.priority());
            action.put("value", one.value);
            action.put("template", one.trigger.replace('_', '-') + "-v1");
            action.put("fields", one.fields);
            action.put("created_at", Instant.ofEpochMilli(now).toString());
            action.put("expires_at", Instant.ofEpochMilli(now + 3 * DAY).toString());
            outputs.add(action);
            decide(one, "sent", "sent", now);
        }

        private void decide(Candidate one, String outcome, String reason, long now) {
            Map<String, Object> decision = new LinkedHashMap<>();
            decision.put("type", "decision");
            decision.put(
                "decision_id", makeId(TENANT, customer, one.trigger, one.occasion, "" + one.step, outcome, reason));
            decision.put("tenant", TENANT);
            decision.put("customer_id", customer);
            decision.put("trigger", one.trigger);
            decision.put("occasion", one.occasion);
            decision.put("step", one.step);
            decision.put("outcome", outcome);
            decision.put("reason", reason);
            decision.put("decided_at", Instant.ofEpochMilli(now).toString());
            outputs.add(decision);
        }

        private long peak(long start) {
            List<long[]> levels = state.levels;
            long best = Long.MIN_VALUE;
            for (int index = levels.size() - 1; index >= 0; index--) {
                best = Math.max(best, levels.get(index)[1]);
                if (levels.get(index)[0] <= start) {
                    break;
                }
            }
            return best;
        }

        /** The levels since a time, each times how long it stood, and that time. */
        private long[] weighted(long start, long end) {
            List<long[]> levels = state.levels;
            long total = 0;
            long until = end;
            for (int index = levels.size() - 1; index >= 0; index--) {
                long at = levels.get(index)[0];
                long begin = Math.max(at, start);
                total = Math.addExact(total, Math.multiplyExact(levels.get(index)[1], until - begin));
                until = begin;
                if (at <= start) {
                    break;
                }
            }
            return until < end
                ? new long[] {total, end - until}
                : new long[] {levels.get(levels.size() - 1)[1], 1};
        }

        private long payments(long since) {
            return state.moves.stream().filter(move -> move[1] < 0 && move[0] > since).count();
        }

        private static long sum(List<long[]> moves, long since, int sign) {
            long total = 0;
            for (long[] move : moves) {
                total += move[0] > since && Long.signum(move[1]) == sign ? move[1] : 0;
            }
            return total;
        }

        private static Candidate candidate(
            String trigger, String occasion, long at, long value, Map<String, String> fields) {
            Candidate one = new Candidate();
            one.trigger = trigger;
            one.occasion = occasion;
            one.at = at;
            one.value = money(value);
            one.fields = fields;
            return one;
        }

        private static String makeId(String... parts) {
            Blake2bDigest digest = new Blake2bDigest(128);
            for (String part : parts) {
                byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
                for (int shift = 24; shift >= 0; shift -= 8) {
                    digest.update((byte) (bytes.length >>> shift));
                }
                digest.update(bytes, 0, bytes.length);
            }
            byte[] made = new byte[16];
            digest.doFinal(made, 0);
            return java.util.HexFormat.of().formatHex(made);
        }

        private static long cents(String text) {
            return new java.math.BigDecimal(text).movePointRight(2).longValueExact();
        }

        private static String money(long cents) {
            return java.math.BigDecimal.valueOf(cents, 2).toPlainString();
        }
    }
}
