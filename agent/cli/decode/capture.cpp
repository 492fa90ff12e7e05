#include "agent/cli/decode/capture.hpp"

#include "agent/cli/decode/packet.hpp"
#include "agent/cli/decode/segment_stream.hpp"
#include "agent/cli/decode/stream_printer.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/time_text.hpp"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace leasemirror {
namespace {

constexpr std::uint16_t port_v4 = 67, port_v6 = 547;
/// More connections than this in one capture are not followed: each keeps octets that wait.
constexpr std::size_t flows_max = 10'000;

struct ClosePcap {
    void operator()(pcap_t* p) const { pcap_close(p); }
};

std::optional<LinkType> link_type_of(int type) {
    switch (type) {
        case DLT_EN10MB:
            return LinkType::ethernet;
        case DLT_LINUX_SLL:
            return LinkType::linux_sll;
        case DLT_LINUX_SLL2:
            return LinkType::linux_sll2;
        case DLT_RAW:
        case DLT_IPV4:
        case DLT_IPV6:
            return LinkType::raw_ip;
        case DLT_NULL:
        case DLT_LOOP:
            return LinkType::loopback;
        default:
            return std::nullopt;
    }
}

std::optional<Family> family_by_port(const Packet& packet) {
    const auto has = [&](std::uint16_t port) { return packet.from.port == port || packet.to.port == port; };
    if (has(port_v4)) return Family::v4;
    if (has(port_v6)) return Family::v6;
    return std::nullopt;
}

/// One direction of a connection. Until it is known to be leasequery it only keeps what came.
class Flow {
public:
    using Before = std::function<void()>;

    Flow(std::optional<Family> family, std::ostream& out, Before before)
        : family_(family), out_(out), before_(std::move(before)) {}

    void take(const Packet& packet) { stream_.take(packet.seq, packet.syn, packet.payload, packet.cut_off); }
    [[nodiscard]] bool is_leasequery() const { return printer_.has_value(); }
    [[nodiscard]] bool is_tls() const { return tls_; }
    [[nodiscard]] std::size_t messages() const { return printer_ ? printer_->messages() : 0; }
    [[nodiscard]] int finish() {
        stream_.finish();
        if (!printer_) return exit_fine;
        printer_->miss(stream_.missing());
        return printer_->finish({});
    }

private:
    void deliver(ByteView octets) {
        if (printer_) return printer_->take(octets);
        if (ignored_) return;
        head_.insert(head_.end(), octets.begin(), octets.end());
        if (head_.size() < 3) return;
        tls_ = begins_as_tls(head_);
        ignored_ = tls_;
        if (!ignored_) decide();
    }

    void decide() {
        if (!family_) {
            ByteReader in(head_);
            const auto message = in.sub(in.u16()).rest();
            if (!in.ok()) return;  // the first message is not whole yet
            const auto family = detect_family(head_);
            ignored_ = !StreamPrinter::is_leasequery(family, message);
            if (ignored_) return;
            family_ = family;
        }
        printer_.emplace(*family_, out_, before_);
        printer_->take(std::exchange(head_, {}));
    }

    std::optional<Family> family_;
    std::ostream& out_;
    const Before before_;
    SegmentStream stream_{[this](ByteView octets) { deliver(octets); }};
    Bytes head_;  // no more than one message and what came with its end
    std::optional<StreamPrinter> printer_;
    bool ignored_ = false;
    bool tls_ = false;
};

class Capture {
public:
    Capture(std::optional<Family> family, std::ostream& out) : family_(family), out_(out) {}

    void take(ByteView frame, LinkType link, const timeval& at) {
        at_ = at;
        ++frames_;
        const auto read = read_packet(frame, link);
        if (const auto* const why = std::get_if<NoPacket>(&read)) {
            fragments_ += *why == NoPacket::fragment ? 1 : 0;
            damaged_ += *why == NoPacket::damaged ? 1 : 0;
            return;
        }
        const auto& packet = std::get<Packet>(read);
        if (packet.tcp)
            take_segment(packet);
        else
            take_datagram(packet);
    }

    [[nodiscard]] int finish() {
        int code = exit_fine;
        std::size_t messages = datagrams_;
        for (const auto& key : order_) {
            auto& flow = *flows_.at(key);
            messages += flow.messages();
            if (flow.is_tls()) out_ << to_string(key.first) << " > " << to_string(key.second) << ": TLS, unreadable\n";
            if (!flow.is_leasequery()) continue;
            out_ << to_string(key.first) << " > " << to_string(key.second) << ": " << flow.messages()
                 << (flow.messages() == 1 ? " message\n" : " messages\n");
            code = std::max(code, flow.finish());
        }
        say_what_was_left_out();
        if (messages > 0) return code;
        out_ << "no leasequery messages in " << frames_ << " packets\n";
        return exit_found_wrong;
    }

private:
    using Key = std::pair<SocketAddress, SocketAddress>;

    void say_when(const SocketAddress& from, const SocketAddress& to) {
        const auto seconds = UtcSeconds{std::chrono::seconds{at_.tv_sec}};
        auto micros = std::to_string(at_.tv_usec);
        micros.insert(0, micros.size() < 6 ? 6 - micros.size() : 0, '0');
        auto time = iso_utc(seconds);
        time.insert(time.size() - 1, "." + micros);
        out_ << time << ' ' << to_string(from) << " > " << to_string(to) << '\n';
    }

    void take_segment(const Packet& packet) {
        const Key key{packet.from, packet.to};
        auto found = flows_.find(key);
        if (found == flows_.end()) {
            if (flows_.size() >= flows_max) {
                ++not_followed_;
                return;
            }
            const auto before = [this, from = packet.from, to = packet.to] { say_when(from, to); };
            const auto family = family_ ? family_ : family_by_port(packet);
            found = flows_.emplace(key, std::make_unique<Flow>(family, out_, before)).first;
            order_.push_back(key);
        }
        found->second->take(packet);
    }

    void take_datagram(const Packet& packet) {
        const auto family = family_ ? family_ : family_by_port(packet);
        if (!family || packet.cut_off > 0) {
            damaged_ += packet.cut_off > 0 ? 1 : 0;
            return;
        }
        const auto before = [&] { say_when(packet.from, packet.to); };
        datagrams_ += StreamPrinter::print_datagram(*family, packet.payload, out_, before) ? 1 : 0;
    }

    void say_what_was_left_out() const {
        std::string left_out;
        const auto count = [&](std::size_t number, const char* what) {
            if (number > 0) left_out += (left_out.empty() ? "" : ", ") + std::to_string(number) + what;
        };
        count(fragments_, " fragments of IP packets");
        count(damaged_, " packets that are damaged or were not captured whole");
        count(not_followed_, " packets of further connections");
        if (!left_out.empty()) out_ << "left out: " << left_out << '\n';
    }

    const std::optional<Family> family_;
    std::ostream& out_;
    timeval at_{};
    std::map<Key, std::unique_ptr<Flow>> flows_;
    std::vector<Key> order_;
    std::size_t frames_ = 0, datagrams_ = 0, fragments_ = 0, damaged_ = 0, not_followed_ = 0;
};

}  // namespace

bool begins_as_capture(ByteView head) {
    using namespace std::string_view_literals;
    // Either byte order, micro- and nanoseconds; pcapng.
    const auto magics = {"\xd4\xc3\xb2\xa1"sv, "\xa1\xb2\xc3\xd4"sv, "\x4d\x3c\xb2\xa1"sv, "\xa1\xb2\x3c\x4d"sv,
                         "\x0a\x0d\x0d\x0a"sv};
    const auto text = as_text(head);
    return std::any_of(magics.begin(), magics.end(), [&](auto magic) { return text.starts_with(magic); });
}

int decode_capture(std::FILE* file, std::optional<Family> family, std::ostream& out, std::ostream& err) {
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    const std::unique_ptr<pcap_t, ClosePcap> pcap(pcap_fopen_offline(file, why.data()));
    if (!pcap) {
        (void)std::fclose(file);
        err << "leasemirror decode: the capture cannot be read: " << why.data() << '\n';
        return exit_usage;
    }
    const auto link = link_type_of(pcap_datalink(pcap.get()));
    if (!link) {
        const auto* const name = pcap_datalink_val_to_description(pcap_datalink(pcap.get()));
        err << "leasemirror decode: packets of " << (name != nullptr ? name : "an unknown kind of link")
            << " are not understood; capture on an Ethernet interface or with -i any\n";
        return exit_usage;
    }
    Capture capture(family, out);
    for (;;) {
        pcap_pkthdr* header = nullptr;
        const u_char* octets = nullptr;
        const auto more = pcap_next_ex(pcap.get(), &header, &octets);
        if (more == 1) {
            capture.take({octets, header->caplen}, *link, header->ts);
            continue;
        }
        const auto code = capture.finish();
        if (more == PCAP_ERROR_BREAK) return code;  // the end of the file
        err << "leasemirror decode: the capture breaks off: " << pcap_geterr(pcap.get()) << '\n';
        return exit_found_wrong;
    }
}

}  // namespace leasemirror
