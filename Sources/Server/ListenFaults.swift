internal import Foundation
internal import NIOCore

extension ListenAddress {
    /// Where a channel listens; nil where that is no address of the network.
    static func text(of channel: any Channel) -> String? {
        channel.localAddress.flatMap { address in
            address.ipAddress.flatMap { ip in address.port.map { ip.contains(":") ? "[\(ip)]:\($0)" : "\(ip):\($0)" } }
        }
    }

    /// Why it cannot be listened on, in words.
    ///
    /// - Parameter option: what says where else.
    func explained(_ error: any Error, option: String = "--listen or APUS_LISTEN") -> any Error {
        switch error {
        case let error as IOError where error.errnoCode == EADDRINUSE:
            OperatorFault("\(text) is in use: another program listens there, perhaps another apus; \(option) says where else")
        case let error as IOError where error.errnoCode == EACCES:
            OperatorFault("\(text) may not be listened on by this user: ports below 1024 want a privilege; \(option) says where else")
        case let error as IOError where error.errnoCode == EADDRNOTAVAIL:
            OperatorFault("\(text) is no address of this machine: \(option) says another, such as 127.0.0.1:3735")
        case is SocketAddressError:
            OperatorFault("\(text) cannot be resolved: \(option) says an address and a port, such as 127.0.0.1:3735")
        default: error
        }
    }
}
