"""TLS in front of a Keystone that speaks none, until it is killed.

usage: tls.py CERTIFICATE KEY KEYSTONE_PORT

Its first line says which port it is at.
"""
import socket
import ssl
import sys
import threading


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One end has gone, and so will the other.


def serve(plain, context, port):
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:
        return  # It did not like the certificate.
    with client, socket.create_connection(("127.0.0.1", port)) as keystone:
        thread = threading.Thread(target=copy, args=(keystone, client), daemon=True)
        thread.start()
        copy(client, keystone)
        thread.join()


def main():
    certificate, key, keystone = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=serve, args=(plain, context, int(keystone)), daemon=True).start()


main()
