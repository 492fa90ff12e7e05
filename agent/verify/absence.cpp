#include "agent/verify/absence.hpp"

#include "storage/scope.hpp"

namespace leasemirror {
namespace {

bool holds(const Absence::Scope& scope, const BindingRow& row) {
    return row.scope == scope.id || (!scope.relay_id.empty() && row.relay_id == scope.relay_id) ||
           (!scope.remote_id.empty() && row.remote_id == scope.remote_id);
}

}  // namespace

bool Absence::proves(const BindingRow& row) const {
    if (!all_vpns && !row.key.vpn_id.empty()) return false;
    if (unreadable.contains(row.key.address)) return false;
    bool in_scope = everything;
    for (const auto& scope : scopes) {
        if (!holds(scope, row)) continue;
        if (scope.unread) return false;
        in_scope = true;
    }
    return in_scope;
}

Absence::Scope absence_scope(const BulkQuery& query, bool unread) {
    Absence::Scope out;
    out.id = scope_id(query);
    if (query.kind == QueryKind::relay_id) out.relay_id = query.id;
    if (query.kind == QueryKind::remote_id) out.remote_id = query.id;
    out.unread = unread;
    return out;
}

}  // namespace leasemirror
