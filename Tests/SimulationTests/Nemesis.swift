/// What befalls an installation: a few things at times that the seed decides, until the clients have done their work.
///
/// Safe: as the scheduler is.
final class Nemesis: @unchecked Sendable {
    private let world: World
    private var scheduler: Scheduler { world.scheduler }
    private var left: Int

    init(world: World) {
        self.world = world
        left = world.scheduler.below(7)
    }

    func start() { next() }

    private func next() {
        scheduler.after(scheduler.micros(5_000...500_000)) { [self] in
            guard world.working > 0 else { return end() }
            if left > 0 {
                left -= 1
                strike()
            }
            next()
        }
    }

    /// What is gone comes back, and what stands still goes on.
    private func end() {
        world.settle()
    }

    private func strike() {
        switch scheduler.below(13) {
        case 0: restart(&world.frontEnds, \.process) { FrontEnd($0) }
        case 1, 2: restart(&world.projectors, \.process) { ProjectorProcess($0) }
        case 3: restart(&world.gateways, \.process) { GatewayProcess($0) }
        case 4, 5: stall()
        case 6: world.server.crash(for: scheduler.micros(20_000...500_000))
        case 7: world.server.failOver(losing: false, after: scheduler.micros(1_100_000...1_900_000))
        case 8, 12: world.server.failOver(losing: true, after: scheduler.micros(1_100_000...1_900_000))
        case 9: disturbRedis()
        case 10: cutOff()
        default: disturbClocksAndClients()
        }
    }

    /// Kills a process as `kill -9` does, or as the loss of its machine, of which the database learns late; another takes its place.
    private func restart<Node>(_ nodes: inout [Node], _ process: (Node) -> Process, _ make: @escaping (Installation) -> Node) {
        let index = scheduler.below(nodes.count)
        let old = process(nodes[index])
        let server = world.server
        old.kill()
        if scheduler.happens(oneIn: 2) { scheduler.after(.milliseconds(1)) { server.endSessions(of: old) } }
        nodes[index] = make(world.installation)
        // The new one begins a while later.
        let new = process(nodes[index])
        new.place.stall()
        scheduler.after(scheduler.micros(10_000...700_000)) { new.place.goOn() }
    }

    private func stall() {
        let process = scheduler.pick(world.processes)
        process.place.stall()
        scheduler.after(scheduler.happens(oneIn: 3) ? scheduler.micros(2_000_000...6_000_000) : scheduler.micros(1_000...900_000)) {
            process.place.goOn()
        }
    }

    private func cutOff() {
        let process = scheduler.pick(world.processes)
        process.isCutOff = true
        scheduler.after(scheduler.micros(10_000...4_000_000)) { process.isCutOff = false }
    }

    private func disturbRedis() {
        let redis = world.redis
        if scheduler.happens(oneIn: 2) {
            redis.setDown(true)
            scheduler.after(scheduler.micros(50_000...2_000_000)) { redis.setDown(false) }
        } else {
            redis.loses = 1 + scheduler.below(3)
            scheduler.after(scheduler.micros(200_000...3_000_000)) { redis.loses = nil }
        }
    }

    private func disturbClocksAndClients() {
        let world = world
        if scheduler.happens(oneIn: 2) {
            // Forward only: epochs are numbered by the second in which they begin, and of two that know nothing of each other the later
            // one is to have the greater number.
            world.server.skew += Int64(scheduler.below(8_000)) * 1_000_000
        } else {
            world.losesRequests = 2 + scheduler.below(3)
            scheduler.after(scheduler.micros(100_000...1_500_000)) { world.losesRequests = nil }
        }
    }
}
