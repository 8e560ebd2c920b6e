internal import CLDAP
internal import Dispatch
internal import Synchronization

/// What a connection to a directory goes over. It is cut where a step takes too long: the library has limits for connecting and for
/// answers, but waits without end for whoever falls silent while encryption is agreed on.
///
/// Safe: the pointer is given back here, once, and what may be done with it meanwhile any thread may do.
@safe final class LDAPWire: @unchecked Sendable {
    private let wire: OpaquePointer
    private let cuts = Atomic(false)

    /// Whether it was cut.
    var wasCut: Bool { cuts.load(ordering: .relaxed) }

    /// - Parameter handle: of a connection that is closed before the wire is let go of.
    /// - Returns: nil where the library does not tell what it connects over.
    init?(of handle: OpaquePointer) {
        guard let wire = unsafe apus_ldap_watch(handle) else { return nil }
        unsafe self.wire = wire
    }

    deinit { unsafe apus_ldap_give_back(wire) }

    /// Does a step, of which nothing is left after the limit.
    func limit<T>(to time: Duration, _ step: () -> T) -> T {
        let timer = DispatchSource.makeTimerSource()
        timer.schedule(deadline: .now() + .seconds(Int(time.components.seconds)))
        timer.setEventHandler { [self] in
            cuts.store(true, ordering: .relaxed)
            unsafe apus_ldap_cut(wire)
        }
        timer.resume()
        defer { timer.cancel() }
        return step()
    }
}
