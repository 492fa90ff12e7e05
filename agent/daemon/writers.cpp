#include "agent/daemon/writers.hpp"

#include "agent/config/store_settings.hpp"
#include "agent/net/host.hpp"
#include "storage/opening.hpp"
#include "storage/store_url.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <utility>

namespace leasemirror {
namespace {

ServerSpec spec_of(const ServerConfig& server) {
    return {server.name, server.family, server.address + " port " + std::to_string(server.port)};
}

std::vector<ServerSpec> specs_of(const Config& config) {
    std::vector<ServerSpec> specs;
    for (const auto& server : config.servers)
        specs.push_back(spec_of(server));
    return specs;
}

}  // namespace

Writers::Writers(asio::io_context& loop, const Config& config, AgentIdentity agent, WritersHooks hooks)
    : loop_(loop), config_(config), agent_(std::move(agent)), hooks_(std::move(hooks)) {}

void Writers::open() {
    const auto sqlite = engine_named_by(config_.storage.url) == StoreEngine::sqlite;  // one writer at a time
    group_.emplace(sqlite ? 1 : config_.storage.writers, config_.servers.size());
    ++generation_;
    for (std::size_t i = 0; i < group_->size(); ++i) {
        auto post = [this, i, generation = generation_](Writer::Event event) {
            asio::post(loop_, [this, i, generation, e = std::make_shared<Writer::Event>(std::move(event))] {
                if (generation == generation_) std::visit([&](auto& told) { on_event(i, told); }, *e);
            });
        };
        writers_.push_back(std::make_unique<Writer>(opening_of(i), std::move(post), host_seed()));
    }
}

Writer::Opening Writers::opening_of(std::size_t writer) const {
    const auto specs = specs_of(config_);
    Writer::Opening opening;
    opening.open = [settings = store_settings(config_)] { return open_store(settings); };
    opening.servers = group_->part_of(writer, specs);
    opening.agent = agent_;
    if (writer == 0) {  // what is to be done once
        opening.gives_signs = true;
        for (const auto& spec : specs)
            opening.not_others.push_back(spec.name);
        if (config_.requestor.duid.empty()) opening.duid_proposal = new_duid();
    }
    return opening;
}

void Writers::close() {
    ++generation_;
    for (auto& writer : writers_)
        writer->stop();
    writers_.clear();
}

void Writers::commit(sync_action::Commit work) {
    auto& writer = *writers_[group_->writer_of(work.server)];
    writer.commit(std::move(work));
}

void Writers::sweep(const sync_action::Sweep& work) {
    for (auto& writer : writers_)
        writer->sweep(work);
}

void Writers::open_server(std::size_t server, const ServerConfig& config) {
    writers_[group_->writer_of(server)]->open_server(server, spec_of(config));
}

void Writers::release_server(std::size_t server, const std::string& name) {
    writers_[group_->writer_of(server)]->release_server(server, name);
}

void Writers::beat(Heartbeat heartbeat) {
    writers_.front()->beat(std::move(heartbeat));
}

std::string Writers::which(std::size_t writer) const {
    return group_->size() > 1 ? std::to_string(writer + 1) + " of " + std::to_string(group_->size()) : std::string();
}

void Writers::on_event(std::size_t writer, Writer::Opened& e) {
    if (const auto all = group_->on_opened(writer, std::move(e))) hooks_.opened(*all);
}

void Writers::on_event(std::size_t, Writer::ServerOpened& e) {
    hooks_.server_opened(e);
}

void Writers::on_event(std::size_t, Writer::ServerReleased& e) {
    hooks_.server_released(e);
}

void Writers::on_event(std::size_t, Writer::Committed& e) {
    hooks_.committed(e);
}

void Writers::on_event(std::size_t writer, Writer::Swept& e) {
    if (const auto all = group_->on_swept(writer, e.swept)) hooks_.swept(*all);
}

void Writers::on_event(std::size_t, Writer::Beaten&) {
    hooks_.beaten();
}

void Writers::on_event(std::size_t writer, Writer::Trouble& e) {
    if (group_->on_trouble(writer, e.text)) hooks_.trouble(e, which(writer));
}

void Writers::on_event(std::size_t writer, Writer::Lost& e) {
    hooks_.lost(e, which(writer));
}

}  // namespace leasemirror
