#include "storage/sqlite_bindings.hpp"

#include "storage/record_order.hpp"
#include "storage/stored_text.hpp"

#include <algorithm>
#include <array>

namespace leasemirror {
namespace {

constexpr const char* find_sql = R"sql(
    SELECT binding_id, epoch, base_time, via, state, end_reason, expires_at, seen_run, scope,
           client_id, hw_addr, relay_id, remote_id, link_address
    FROM binding
    WHERE address = ?4 AND kind = ?3 AND prefix_len = ?5 AND vpn_id = ?2 AND server_id = ?1)sql";

// The three statements that write a row number their parameters alike: one function binds them.
constexpr const char* insert_sql = R"sql(
    INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, address_key, last_key, family,
        state, hw_type, client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at,
        link_address, relay_address, circuit_id, subscriber_id, hostname, options, data_source, end_reason,
        base_time, via, updated_at, epoch, seen_run, scope, client_id, hw_addr, relay_id, remote_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34))sql";

// Without the four indexed columns: SQLite writes to an index as soon as its column is named here, changed or not.
// Nearly all updates are renewals, which take this way and touch no index.
constexpr const char* update_unindexed_sql = R"sql(
    UPDATE binding SET state = ?9, hw_type = ?10, client_last_seen = ?11, state_since = ?12, expires_at = ?13,
        preferred_until = ?14, renew_at = ?15, rebind_at = ?16, link_address = ?17, relay_address = ?18,
        circuit_id = ?19, subscriber_id = ?20, hostname = ?21, options = ?22, data_source = ?23, end_reason = ?24,
        base_time = ?25, via = ?26, updated_at = ?27, epoch = ?28, seen_run = ?29, scope = ?30
    WHERE binding_id = ?35)sql";
constexpr const char* update_sql = R"sql(
    UPDATE binding SET state = ?9, hw_type = ?10, client_last_seen = ?11, state_since = ?12, expires_at = ?13,
        preferred_until = ?14, renew_at = ?15, rebind_at = ?16, link_address = ?17, relay_address = ?18,
        circuit_id = ?19, subscriber_id = ?20, hostname = ?21, options = ?22, data_source = ?23, end_reason = ?24,
        base_time = ?25, via = ?26, updated_at = ?27, epoch = ?28, seen_run = ?29, scope = ?30,
        client_id = ?31, hw_addr = ?32, relay_id = ?33, remote_id = ?34
    WHERE binding_id = ?35)sql";
constexpr int at_binding_id = 35;

constexpr const char* mark_listed_sql = R"sql(
    UPDATE binding SET seen_run = iif(?2 = 0, seen_run, ?2), scope = iif(?3 = 0, scope, ?3) WHERE binding_id = ?1)sql";

constexpr const char* mark_sighted_sql = "UPDATE binding SET seen_run = ?3 WHERE address = ?2 AND server_id = ?1";

std::optional<UtcSeconds> ours(const std::optional<ServerTime>& t, Skew skew) {
    return t ? std::optional(to_utc(*t, skew)) : std::nullopt;
}

std::string_view chars(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The last address of a prefix, in the sortable form.
std::array<std::uint8_t, 16> last_key(const BindingKey& key) {
    auto out = key.address.sortable();
    const unsigned kept = key.prefix_len + (key.address.family() == Family::v4 ? 96U : 0U);
    for (unsigned bit = kept; bit < 128; ++bit)
        out[bit / 8] = static_cast<std::uint8_t>(out[bit / 8] | (0x80U >> (bit % 8)));
    return out;
}

}  // namespace

struct SqliteBindings::Stored {
    std::int64_t binding_id = 0;
    RecordAge age;
    bool in_force = false;
    bool expired_here = false;  // ended by our clock, not by the server's word
    std::optional<UtcSeconds> expires_at;
    std::int64_t seen_run = 0;
    std::int64_t scope = 0;
    bool same_indexed = false;   // as the change has them: the identifiers that are indexed
    bool same_relaying = false;  // as the change has them: what a bulk query may select by
};

struct SqliteBindings::Outcome {
    const char* state = nullptr;
    const char* end_reason = nullptr;  // null: in force
    std::int64_t seen_run = 0;
    std::int64_t scope = 0;

    [[nodiscard]] bool in_force() const { return end_reason == nullptr; }
};

SqliteBindings::SqliteBindings(SQLite::Database& db)
    : find_(db, find_sql),
      insert_(db, insert_sql),
      update_(db, update_sql),
      update_unindexed_(db, update_unindexed_sql),
      mark_listed_(db, mark_listed_sql),
      mark_sighted_(db, mark_sighted_sql) {}

void SqliteBindings::store(const BatchContext& context, const Change& change, Tally& tally) {
    const auto& told = change.binding;
    prepare_texts(told);
    Stored stored;
    const bool known = find(context, change, stored);
    if (known && !replaces({context.epoch, unix_seconds(told.base_time), told.via}, stored.age)) {
        mark_listed(stored.binding_id, change);
        return;
    }

    auto now = context.now;
    // The very record whose expiry has passed here before, in a batch that was closed before that: it stays expired.
    const bool again =
        known && stored.age.epoch == context.epoch && stored.age.base_time == unix_seconds(told.base_time);
    if (again && stored.expired_here && stored.expires_at) now = std::max(now, *stored.expires_at);

    Outcome outcome;
    const auto expires = ours(told.expires_at, change.skew.value_or(context.skew));
    if (!told.in_force()) {
        outcome = {to_string(told.state).data(), "reported"};
    } else if (expires && *expires <= now) {
        outcome = {to_string(BindingState::ended).data(), "expired"};
    } else {
        outcome = {to_string(BindingState::active).data(), nullptr};
    }
    outcome.seen_run = change.run != 0 ? static_cast<std::int64_t>(change.run) : stored.seen_run;
    outcome.scope = change.scope != 0 ? change.scope : stored.same_relaying ? stored.scope : 0;

    if (known)
        update(context, change, stored, outcome);
    else
        insert(context, change, outcome);
    ++tally.stored;
    const bool was_in_force = known && stored.in_force;
    if (was_in_force && !outcome.in_force()) ++tally.ended;
    tally.in_force += (outcome.in_force() ? 1 : 0) - (was_in_force ? 1 : 0);
}

bool SqliteBindings::find(const BatchContext& context, const Change& change, Stored& stored) {
    const auto& told = change.binding;
    Use use(find_);
    use.number(1, context.server);
    use.text(2, vpn_id_);
    use.word(3, to_string(told.key.kind).data());
    use.text(4, address_);
    use.number(5, std::int64_t{told.key.prefix_len});
    if (!use.step()) return false;
    stored.binding_id = use.number(0);
    stored.age = {use.number(1), use.number(2), via_from_word(use.text(3))};
    stored.in_force = use.text(4) == to_string(BindingState::active);
    stored.expired_here = use.text(5) == "expired";
    stored.expires_at = use.time(6);
    stored.seen_run = use.number(7);
    stored.scope = use.number(8);
    const bool same_relays = use.text(11) == chars(told.relay_id) && use.text(12) == chars(told.remote_id);
    stored.same_indexed = same_relays && use.text(9) == chars(told.client_id) && use.text(10) == hw_addr_;
    stored.same_relaying = same_relays && use.text(13) == link_address_;
    return true;
}

/// A record that lost to a newer one still says that the server has the binding.
void SqliteBindings::mark_listed(std::int64_t binding_id, const Change& change) {
    if (change.run == 0 && change.scope == 0) return;
    Use use(mark_listed_);
    use.number(1, binding_id);
    use.number(2, static_cast<std::int64_t>(change.run));
    use.number(3, std::int64_t{change.scope});
    use.run();
}

void SqliteBindings::prepare_texts(const Binding& told) {
    vpn_id_ = storable_text(told.key.vpn_id, scratch_);
    address_ = told.key.address.to_string();
    colon_hex(told.hw_addr, hw_addr_);
    link_address_ = told.link_address ? told.link_address->to_string() : std::string{};
    relay_address_ = told.relay_address ? told.relay_address->to_string() : std::string{};
    hostname_ = storable_text(told.hostname, scratch_);
    options_json(told.options, options_);
}

void SqliteBindings::bind_row(Use& use, const BatchContext& context, const Change& change, const Outcome& outcome) {
    const auto& told = change.binding;
    const auto skew = change.skew.value_or(context.skew);
    use.word(9, outcome.state);
    use.number(10, told.hw_type ? std::optional<std::int64_t>(*told.hw_type) : std::nullopt);
    use.time(11, ours(told.client_last_seen, skew));
    use.time(12, ours(told.state_since, skew));
    use.time(13, ours(told.expires_at, skew));
    use.time(14, ours(told.preferred_until, skew));
    use.time(15, ours(told.renew_at, skew));
    use.time(16, ours(told.rebind_at, skew));
    use.text_or_null(17, link_address_);
    use.text_or_null(18, relay_address_);
    use.bytes_or_null(19, told.circuit_id);
    use.bytes_or_null(20, told.subscriber_id);
    use.text_or_null(21, hostname_);
    use.text_or_null(22, options_);
    use.word(23, to_string(told.data_source).data());
    use.word(24, outcome.end_reason);
    use.number(25, unix_seconds(told.base_time));
    use.word(26, to_string(told.via).data());
    use.time(27, context.now);
    use.number(28, context.epoch);
    use.number(29, outcome.seen_run);
    use.number(30, outcome.scope);
}

void SqliteBindings::bind_indexed(Use& use, const Binding& told) {
    use.bytes_or_null(31, told.client_id);
    use.text_or_null(32, hw_addr_);
    use.bytes_or_null(33, told.relay_id);
    use.bytes_or_null(34, told.remote_id);
}

void SqliteBindings::insert(const BatchContext& context, const Change& change, const Outcome& outcome) {
    const auto& key = change.binding.key;
    const bool is_prefix = key.kind == BindingKind::prefix;
    const auto first = key.address.sortable();
    const auto last = is_prefix ? last_key(key) : first;
    Use use(insert_);
    use.number(1, context.server);
    use.text(2, vpn_id_);
    use.word(3, to_string(key.kind).data());
    use.text(4, address_);
    use.number(5, std::int64_t{key.prefix_len});
    use.bytes(6, first);
    use.bytes_or_null(7, is_prefix ? ByteView(last) : ByteView{});
    use.word(8, to_string(key.address.family()).data());
    bind_row(use, context, change, outcome);
    bind_indexed(use, change.binding);
    use.run();
}

void SqliteBindings::update(const BatchContext& context, const Change& change, const Stored& stored,
                            const Outcome& outcome) {
    Use use(stored.same_indexed ? update_unindexed_ : update_);
    bind_row(use, context, change, outcome);
    if (!stored.same_indexed) bind_indexed(use, change.binding);
    use.number(at_binding_id, stored.binding_id);
    use.run();
}

void SqliteBindings::mark_sighted(const BatchContext& context, const Change& sighting) {
    if (sighting.run == 0) return;
    address_ = sighting.binding.key.address.to_string();
    Use use(mark_sighted_);
    use.number(1, context.server);
    use.text(2, address_);
    use.number(3, static_cast<std::int64_t>(sighting.run));
    use.run();
}

}  // namespace leasemirror
